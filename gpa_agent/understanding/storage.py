"""Distilled classifiers on disk: safetensors for the arrays, JSON for the rest, never pickle.

The weights are written first, under a name that carries their SHA-256; then the JSON that names
them is renamed into place. That rename is the moment the new classifier exists: a process
killed before it leaves the old one whole.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import StoreError, WorkspaceError
from gpa_agent.files import write_whole
from gpa_agent.understanding.distilled import DistilledClassifier, LinearModel, Scope
from gpa_agent.understanding.distilled_satisfaction import (
    DistilledSatisfaction,
    SatisfactionModel,
)

FORMAT: Final = 1
"""Version of the layout; a newer one is refused."""
CARD = "classifier.json"
_C = TypeVar("_C", bound=BaseModel)
_Share = Annotated[float, Field(gt=0, lt=1)]
_REMEDY = "train it again with `gpa learn`"


class _Card(BaseModel):
    """The JSON beside the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = FORMAT
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    encoder: str
    dim: Annotated[int, Field(gt=0)]
    anchor_gain: float
    words_gain: float
    temperature: Annotated[float, Field(gt=0)]
    scope: tuple[float, float, float, float] | None
    threshold: Annotated[float, Field(ge=0, le=1)]
    report: dict[str, Any]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _SatisfactionCard(BaseModel):
    """The JSON beside the weights of a satisfaction reader."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = FORMAT
    kind: Literal["satisfaction"] = "satisfaction"
    encoder: str
    dim: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0)]
    shares: tuple[_Share, _Share, _Share]
    cues: tuple[str, ...]
    report: dict[str, Any]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def save_classifier(classifier: DistilledClassifier, folder: Path) -> None:
    """Keep a classifier in a folder, replacing the one that is there.

    Args:
        classifier: What to keep.
        folder: Where; made where it is missing.

    Raises:
        StoreError: If the folder cannot be written; the old classifier is then still whole.
    """
    model = classifier.model
    arrays = {
        "weights": model.weights,
        "bias": model.bias,
        "anchors": model.anchors,
        "anchor_class": model.anchor_class,
    }
    weights = _pack(arrays)
    card = _Card(
        labels=model.labels,
        encoder=model.encoder,
        dim=model.dim,
        anchor_gain=model.anchor_gain,
        words_gain=model.words_gain,
        temperature=model.temperature,
        scope=model.scope,
        threshold=model.threshold,
        report=dict(model.report),
        weights_sha256=_digest(weights),
    )
    _keep(folder, weights, card)


def save_satisfaction(reader: DistilledSatisfaction, folder: Path) -> None:
    """Keep a satisfaction reader in a folder of its own, replacing the one that is there.

    Args:
        reader: What to keep.
        folder: Where; made where it is missing.

    Raises:
        StoreError: If the folder cannot be written; the old reader is then still whole.
    """
    model = reader.model
    weights = _pack({"coefficients": model.coefficients})
    card = _SatisfactionCard(
        encoder=model.encoder,
        dim=model.dim,
        temperature=model.temperature,
        shares=model.shares,
        cues=model.cues,
        report=dict(model.report),
        weights_sha256=_digest(weights),
    )
    _keep(folder, weights, card)


def load_classifier(folder: Path, encoder: TextEncoder) -> DistilledClassifier:
    """Read a classifier back.

    Args:
        folder: Where ``save_classifier`` kept it.
        encoder: The encoder it was trained over.

    Returns:
        The same classifier, of the same ``version``.

    Raises:
        WorkspaceError: If there is none, it is damaged or of a newer version, or it was trained
            over another encoder.
    """
    card = _read_card(folder / CARD, _Card)
    arrays = _read_weights(folder / _weights_name(card.weights_sha256), card.weights_sha256)
    try:
        model = LinearModel(
            labels=card.labels,
            encoder=card.encoder,
            dim=card.dim,
            weights=arrays["weights"],
            bias=arrays["bias"],
            anchors=arrays["anchors"],
            anchor_class=arrays["anchor_class"],
            anchor_gain=card.anchor_gain,
            words_gain=card.words_gain,
            temperature=card.temperature,
            scope=None if card.scope is None else Scope(*card.scope),
            threshold=card.threshold,
            report=card.report,
        )
    except KeyError as exc:
        raise WorkspaceError(
            f"the classifier in {str(folder)!r} lacks the array {exc}: {_REMEDY}"
        ) from exc
    _check_shapes(model, folder)
    return DistilledClassifier(model, encoder)


def load_satisfaction(folder: Path, encoder: TextEncoder | None) -> DistilledSatisfaction:
    """Read a satisfaction reader back.

    Args:
        folder: Where ``save_satisfaction`` kept it.
        encoder: The encoder it was trained over; None where it reads the cues alone.

    Returns:
        The same reader, of the same ``version``.

    Raises:
        WorkspaceError: If there is none, it is damaged or of a newer version, or it was trained
            over another encoder or on other cues than this version reads.
    """
    card = _read_card(folder / CARD, _SatisfactionCard)
    arrays = _read_weights(folder / _weights_name(card.weights_sha256), card.weights_sha256)
    coefficients = arrays.get("coefficients", np.zeros((0, 0)))
    shape = (1 + len(card.cues) + card.dim, 3)
    if coefficients.shape != shape:
        raise WorkspaceError(
            f"the satisfaction classifier in {str(folder)!r} has coefficients of shape "
            f"{coefficients.shape!r} where {shape!r} was expected: {_REMEDY}"
        )
    model = SatisfactionModel(
        coefficients=coefficients,
        encoder=card.encoder,
        dim=card.dim,
        temperature=card.temperature,
        shares=card.shares,
        cues=card.cues,
        report=card.report,
    )
    return DistilledSatisfaction(model, encoder)


def remove_classifier(folder: Path) -> None:
    """Take a classifier away, if there is one; its card goes first, so it is never half there.

    Raises:
        StoreError: If it cannot be removed.
    """
    try:
        (folder / CARD).unlink(missing_ok=True)
        for weights in folder.glob("weights-*.safetensors"):
            weights.unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(f"cannot remove the classifier in {folder}: {exc}") from exc


def has_classifier(folder: Path) -> bool:
    """Whether a classifier is kept there."""
    return (folder / CARD).is_file()


def kept_mark(folder: Path) -> str | None:
    """A mark of the classifier that is kept there, another for each; None where there is none.

    Raises:
        StoreError: If nobody can tell.
    """
    try:
        return _digest((folder / CARD).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreError(f"cannot read {folder / CARD}: {exc}; check its permissions") from exc


def _pack(arrays: dict[str, Any]) -> bytes:
    from safetensors.numpy import save  # noqa: PLC0415 -- only saving and loading need it

    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _keep(folder: Path, weights: bytes, card: _Card | _SatisfactionCard) -> None:
    """Write the weights, then the card that names them, then drop what it does not name."""
    name = _weights_name(card.weights_sha256)
    write_whole(folder / name, weights)
    write_whole(folder / CARD, card.model_dump_json(indent=2).encode())
    for old in folder.glob("weights-*.safetensors"):
        if old.name != name:
            with contextlib.suppress(OSError):  # a left-over is harmless: the card names its file
                old.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_card(path: Path, kind: type[_C]) -> _C:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise WorkspaceError(f"there is no classifier at {str(path)!r}: {_REMEDY}") from exc
    except ValidationError as exc:
        raise WorkspaceError(
            f"{str(path)!r} is damaged or from a newer gpa-agent "
            f"(format {FORMAT} was expected): {_REMEDY}, or upgrade gpa-agent"
        ) from exc


def _read_weights(path: Path, expected: str) -> dict[str, Any]:
    from safetensors import SafetensorError  # noqa: PLC0415 -- only saving and loading need it
    from safetensors.numpy import load  # noqa: PLC0415 -- only saving and loading need it

    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WorkspaceError(f"the weights {str(path)!r} cannot be read: {_REMEDY}") from exc
    if hashlib.sha256(content).hexdigest() != expected:
        raise WorkspaceError(f"the weights {str(path)!r} are damaged: {_REMEDY}")
    try:
        return load(content)
    except SafetensorError as exc:
        raise WorkspaceError(f"{str(path)!r} is not safetensors: {_REMEDY}") from exc


def _check_shapes(model: LinearModel, folder: Path) -> None:
    classes, anchors = len(model.labels), len(model.anchors)
    rows = model.dim + (384 if model.words_gain else 0)
    fits = (
        model.weights.shape == (rows, classes)
        and model.bias.shape == (classes,)
        and model.anchors.shape == (anchors, model.dim)
        and model.anchor_class.shape == (anchors,)
    )
    if not fits:
        raise WorkspaceError(
            f"the classifier in {str(folder)!r} has weights of shape {model.weights.shape!r} where "
            f"{(rows, classes)!r} was expected: {_REMEDY}"
        )


def _weights_name(digest: str) -> str:
    return f"weights-{digest[:16]}.safetensors"
