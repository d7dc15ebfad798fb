"""What a base is, by its bytes: the wrong base under an adapter gives no error, only bad text.

Read from the files alone, without torch, and without regard to how a model is cut into files:
the weights' hash goes over the tensors by name, the tokenizer's over what it says, the
template's over its text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from gpa_agent.errors import DataError, UsageError

_CHUNK: Final = 1 << 22
_TEMPLATE_FILE: Final = "chat_template.jinja"
_TOKENIZER_FILES: Final = (
    *("added_tokens.json", "merges.txt", "special_tokens_map.json", "spiece.model"),
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
)


class Fingerprint(BaseModel):
    """A base, as an adapter has to find it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    """Of the weights."""
    tokenizer_sha256: str
    template_sha256: str
    """Of the chat template's text."""


class Tensor(NamedTuple):
    """Where a tensor of a safetensors file lies.

    Attributes:
        name: Its name.
        dtype: As the format names it, such as ``BF16``.
        shape: Its shape.
        start: Offset of its bytes in the file.
        size: How many bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def fingerprint(folder: Path) -> Fingerprint:
    """Tell what base is in a folder.

    Args:
        folder: A model as transformers saves it.

    Raises:
        UsageError: It holds no safetensors weights, no tokenizer, or no chat template.
        DataError: A file is damaged.
    """
    return Fingerprint(
        sha256=weights_sha256(folder),
        tokenizer_sha256=_tokenizer_sha256(folder),
        template_sha256=hashlib.sha256(chat_template(folder).encode()).hexdigest(),
    )


def weights_sha256(folder: Path) -> str:
    """Hash all tensors of a folder's safetensors files, in the order of their names.

    Args:
        folder: A model or an adapter.

    Raises:
        UsageError: There are none: nothing else is loaded, as pickles run code.
        DataError: A file is torn or damaged.
    """
    found = [(t, path) for path in sorted(folder.glob("*.safetensors")) for t in tensors(path)]
    if not found:
        raise UsageError(
            f"{str(folder)!r} holds no model: expected config.json and weights in *.safetensors, "
            "as save_pretrained writes them (weights in *.bin are pickles and are not loaded)"
        )
    whole = hashlib.sha256()
    for tensor, path in sorted(found, key=lambda item: item[0].name):
        whole.update(f"{tensor.name}\0{tensor.dtype}\0{tensor.shape}\0".encode())
        for piece in _bytes(path, tensor):
            whole.update(piece)
    return whole.hexdigest()


def tensors(path: Path) -> list[Tensor]:
    """Read what a safetensors file says it holds, and check that it does.

    Args:
        path: The file.

    Raises:
        DataError: It is cut off or no such file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < size else {}
        found = [
            _tensor(name, said, 8 + length) for name, said in header.items() if name[:2] != "__"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DataError(f"{str(path)!r} cannot be read as safetensors: {exc}") from exc
    if not found or max(t.start + t.size for t in found) != size:
        raise DataError(f"{str(path)!r} is cut off: write it again")
    return found


def chat_template(folder: Path) -> str:
    """The text of a base's chat template.

    Args:
        folder: A model with its tokenizer.

    Raises:
        UsageError: It has none, or no tokenizer.
    """
    if (file := folder / _TEMPLATE_FILE).is_file():
        return file.read_text(encoding="utf-8")
    template = _tokenizer_settings(folder).get("chat_template")
    if isinstance(template, list):  # older tokenizers name several
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    if not template:
        raise UsageError(
            f"the base {str(folder)!r} has no chat template, so it was not made to hold a "
            f"conversation: take an instruction-tuned model, or write one to {_TEMPLATE_FILE}"
        )
    return str(template)


def _tensor(name: str, said: dict[str, Any], data: int) -> Tensor:
    start, end = said["data_offsets"]
    return Tensor(name, str(said["dtype"]), tuple(said["shape"]), data + start, end - start)


def _bytes(path: Path, tensor: Tensor) -> Iterator[bytes]:
    left = tensor.size
    with path.open("rb") as file:
        file.seek(tensor.start)
        while left and (piece := file.read(min(left, _CHUNK))):
            left -= len(piece)
            yield piece


def _tokenizer_sha256(folder: Path) -> str:
    """Over the files that turn text into numbers; what else is noted in settings is no matter."""
    whole = hashlib.sha256()
    there = [name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    if not there:
        raise UsageError(f"the base {str(folder)!r} has no tokenizer beside it (tokenizer.json)")
    for name in there:
        whole.update(f"{name}\0".encode() + (folder / name).read_bytes() + b"\0")
    return whole.hexdigest()


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise DataError(f"tokenizer_config.json of {str(folder)!r} cannot be read: {exc}") from exc
    return said if isinstance(said, dict) else {}
