"""Train the shipped weights of the satisfaction classifier on text the project wrote itself.

Run from the repository root::

    python finetune/satisfaction/train.py                      # all weights, into the package
    python finetune/satisfaction/train.py --encoder cues --out /some/folder
    python finetune/satisfaction/train.py --validate           # whole families left out in turn

The text is ``families.toml`` (ways of answering back, with how such a turn would be rated) and
``examples.tsv`` (single turns). Every row becomes cue scores beside the embedding of the reply;
a multinomial logistic regression with a ridge is fitted to the ratings' shares by Newton steps
in double precision to convergence, so the same text gives the same weights. The classes count
alike. Penalties, temperature and the shift of NEITHER were chosen by ``--validate``: the least
log-loss, and the best balanced accuracy, on families of replies that were left out. No corpus
is read.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from gpa_agent.embedding import HashingEncoder, find_encoder
from gpa_agent.understanding.classifier import CLASSES, design_matrix, predict
from gpa_agent.understanding.cues import CUE_NAMES, score
from gpa_agent.understanding.protocols import JudgedTurn
from gpa_agent.understanding.reading import read

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "gpa_agent" / "understanding" / "weights"
SEED = 20240817
ANSWERS_PER_REPLY = 3
CUE_PENALTY = 3.0
EMBEDDING_PENALTY = 1.5
FREE_PENALTY = 0.01
TEMPERATURE = 0.8
NEITHER_SHIFT = {"cues": -0.3, "minilm": -0.4, "hashing": -0.4}
FOLDS = 8
LABELS = {"DSAT": (1.0, 0.0, 0.0), "NEITHER": (0.0, 1.0, 0.0), "SAT": (0.0, 0.0, 1.0)}

Floats = NDArray[np.float64]


class Encoder(Protocol):
    """What the recipe needs of a text encoder."""

    @property
    def name(self) -> str:
        """What its weights are called."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts as unit rows."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One turn of training text."""

    turn: JudgedTurn
    """What is read."""
    shares: tuple[float, float, float]
    """Shares of users displeased, neither, pleased; sums to 1."""
    weight: float
    """How much it counts."""
    family: str
    """What it is left out with in cross-validation."""


def rows() -> list[Row]:
    """All training text, in a fixed order."""
    return [*_family_rows(), *_example_rows()]


def _family_rows() -> list[Row]:
    text = tomllib.loads((HERE / "families.toml").read_text(encoding="utf-8"))
    rng = np.random.default_rng(SEED)
    made: list[Row] = []
    for family in text["family"]:
        answers = _answers(text, family["after"])
        total = sum(family["rated"])
        shares = tuple(share / total for share in family["rated"])
        for reply in family["replies"]:
            picks = rng.choice(len(answers), size=ANSWERS_PER_REPLY, replace=len(answers) < 3)
            for pick in picks:
                kind, answer = answers[int(pick)]
                turn = JudgedTurn(
                    user="" if kind == "hello" else "I wonder about something.",
                    assistant=_fill(answer, text["slots"], rng),
                    reply=_fill(reply, text["slots"], rng),
                )
                made.append(
                    Row(
                        turn=turn,
                        shares=(shares[0], shares[1], shares[2]),
                        weight=1.0 / ANSWERS_PER_REPLY,
                        family=family["name"],
                    )
                )
    return made


def _answers(text: dict[str, Any], after: Sequence[str]) -> list[tuple[str, str]]:
    kinds: list[str] = []
    for name in after:
        kinds.extend(text["kinds"].get(name, [name]))
    return [(kind, answer) for kind in dict.fromkeys(kinds) for answer in text["answers"][kind]]


def _fill(template: str, slots: dict[str, list[str]], rng: np.random.Generator) -> str:
    for slot, values in slots.items():
        while f"{{{slot}}}" in template:
            value = values[int(rng.integers(len(values)))]
            template = template.replace(f"{{{slot}}}", value, 1)
    return template


def _example_rows() -> list[Row]:
    with (HERE / "examples.tsv").open(encoding="utf-8", newline="") as handle:
        table = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Row(
            turn=JudgedTurn(line["user"], line["answer"], line["reply"]),
            shares=LABELS[line["label"]],
            weight=1.0,
            family=f"example-{number % 10}",
        )
        for number, line in enumerate(table)
    ]


def fit(design: Floats, shares: Floats, weights: Floats, penalties: Floats) -> Floats:
    """Coefficients of the ridge multinomial regression, (columns, 3), by Newton steps.

    The three classes are kept symmetric (each has its own column); the ridge makes the
    optimum unique, so only a column without a penalty could drift, and none has none.
    """
    n_columns = design.shape[1]
    coefficients = np.zeros((n_columns, 3))
    for _ in range(50):
        chances = predict(design, coefficients)
        gradient = design.T @ ((chances - shares) * weights[:, None])
        gradient += penalties[:, None] * coefficients
        hessian = np.zeros((3, n_columns, 3, n_columns))
        for a in range(3):
            for b in range(a, 3):
                curve = weights * chances[:, a] * (float(a == b) - chances[:, b])
                block = design.T @ (design * curve[:, None])
                hessian[a, :, b, :] = block
                hessian[b, :, a, :] = block
        flat = hessian.reshape(3 * n_columns, 3 * n_columns)
        flat[np.diag_indices_from(flat)] += np.tile(penalties, 3)
        step = np.linalg.solve(flat, gradient.T.ravel()).reshape(3, n_columns).T
        coefficients -= step
        if np.abs(step).max() < 1e-10:
            break
    return coefficients


def penalties(columns: int) -> Floats:
    """What each column's squared coefficients cost; the constant is nearly free."""
    cues = len(CUE_NAMES)
    return np.concatenate(
        [
            [FREE_PENALTY],
            np.full(cues, CUE_PENALTY),
            np.full(columns - 1 - cues, EMBEDDING_PENALTY),
        ]
    )


def balanced(shares: Floats, weights: Floats) -> Floats:
    """Weights under which the three classes have the same mass."""
    mass: Floats = (shares * weights[:, None]).sum(axis=0)
    factors: Floats = shares @ (mass.sum() / (3 * mass))
    return weights * factors


class Text(NamedTuple):
    """The training text as arrays."""

    design: Floats
    shares: Floats
    weights: Floats
    families: list[str]


def prepare(encoder: Encoder | None) -> Text:
    """Read cues of all rows, and embed their replies where there is an encoder."""
    made = rows()
    readings = [read(row.turn) for row in made]
    embedding = encoder.encode([reading.text for reading in readings]) if encoder else None
    shares = np.array([row.shares for row in made])
    weights = np.array([row.weight for row in made])
    return Text(
        design_matrix(score(readings), embedding),
        shares,
        balanced(shares, weights),
        [row.family for row in made],
    )


def train(encoder: Encoder | None) -> Floats:
    """Coefficients for an encoder, or for the cues alone."""
    text = prepare(encoder)
    return fit(text.design, text.shares, text.weights, penalties(text.design.shape[1]))


def held_out(text: Text) -> Floats:
    """Probabilities of every row from a fit without its family."""
    names = sorted(set(text.families))
    order = np.random.default_rng(SEED).permutation(len(names))
    fold = np.array([order[names.index(name)] % FOLDS for name in text.families])
    chances = np.zeros_like(text.shares)
    for number in range(FOLDS):
        kept, left = fold != number, fold == number
        coefficients = fit(
            text.design[kept],
            text.shares[kept],
            text.weights[kept],
            penalties(text.design.shape[1]),
        )
        chances[left] = predict(text.design[left], coefficients)
    return chances


def validate(name: str, encoder: Encoder | None) -> None:
    """Print log-loss by temperature and expected balanced accuracy by shift, families left out."""
    text = prepare(encoder)
    chances = held_out(text)
    total = text.weights.sum()
    for temperature in (0.6, 0.7, 0.8, 0.9, 1.0, 1.2):
        cooled = chances ** (1 / temperature)
        cooled /= cooled.sum(axis=1, keepdims=True)
        loss = -(text.shares * np.log(cooled)).sum(axis=1) @ text.weights / total
        print(f"{name:8} temperature {temperature:.1f}  log-loss {loss:.4f}")
    mass = text.shares * text.weights[:, None]
    for shift in (-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0):
        best = (np.log(chances) + np.array([0.0, shift, 0.0])).argmax(axis=1)
        recalls = [mass[best == k, k].sum() / mass[:, k].sum() for k in range(3)]
        print(f"{name:8} shift {shift:+.1f}  balanced accuracy {np.mean(recalls):.4f}")


def write(folder: Path, name: str, coefficients: Floats) -> None:
    """Write ``name.safetensors`` and ``name.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    # Rounded before they are stored, so that noise in the last place leaves the version alone.
    tensors = {"coefficients": np.round(coefficients, 6).astype(np.float32)}
    settings = {"temperature": TEMPERATURE, "neither_shift": NEITHER_SHIFT[name]}
    digest = hashlib.sha256(tensors["coefficients"].tobytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    about = {
        "classes": [judgment.name for judgment in CLASSES],
        "cues": list(CUE_NAMES),
        "encoder": None if name == "cues" else name,
        "version": digest.hexdigest()[:12],
        **settings,
    }
    (folder / f"{name}.safetensors").write_bytes(save(tensors))
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def encoders(names: Sequence[str]) -> dict[str, Encoder | None]:
    """The encoders by name; ``cues`` is none."""
    made: dict[str, Encoder | None] = {}
    for name in names:
        if name == "cues":
            made[name] = None
        elif name == "hashing":
            made[name] = HashingEncoder()
        else:
            found = find_encoder(allow_download=False)
            if found.name != name:
                raise SystemExit(
                    f"{name!r} was not found, only {found.name!r}. "
                    "Install it with: pip install 'gpa-agent[offline]'"
                )
            made[name] = found
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write, or validate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", action="append", choices=sorted(NEITHER_SHIFT))
    parser.add_argument("--out", type=Path, default=PACKAGE, help="folder of the weights")
    parser.add_argument("--validate", action="store_true", help="leave families out, write nothing")
    options = parser.parse_args(arguments)
    for name, encoder in encoders(options.encoder or sorted(NEITHER_SHIFT)).items():
        if options.validate:
            validate(name, encoder)
        else:
            write(options.out, name, train(encoder))
            print(f"{name}: written to {options.out}")


if __name__ == "__main__":
    main()
