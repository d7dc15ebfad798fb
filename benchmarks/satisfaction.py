"""How well the embedded satisfaction reader agrees with people, beside two baselines.

Run from the repository root::

    python benchmarks/satisfaction.py [--json] [--limit 2000] [--encoder minilm]

Data: USS (turn-level satisfaction, ReDial and SGD, three or more raters) under ``GPA_DATA``. A
rating stands on a user line and judges the answer before it; lines before any answer judge
nothing and are left out. A mean below 2.75 is dissatisfied, above 3.25 satisfied. Everything is
tested on all rows; nothing of ours was trained on any. In the same run: a dozen words of
regular expression, and logistic regression on sentence embeddings (balanced classes) trained on
the *other* corpus.

Ratings are noisy (one of three raters can make a turn "satisfied"), so precision is given twice:
``strict`` counts a neutral rating against a confident verdict, ``sided`` looks only at turns which
the raters put on a side. The line "within" is logistic regression trained on other sessions of
the same corpus: how far such rows can be told at all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding import HashingEncoder, TextEncoder, find_encoder
from gpa_agent.understanding.classifier import CLASSES
from gpa_agent.understanding.protocols import JudgedTurn
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPORA = ("ReDial", "SGD")
CONFIDENT = (0.6, 0.7, 0.8)

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_PLEASED = re.compile(
    r"\b(thanks?|thank you|great|good|perfect|love|awesome|yes|nice|sounds)\b", re.IGNORECASE
)
_DISPLEASED = re.compile(
    r"\b(no|not|don't|didn't|wrong|instead|another|other|else|hate|bad|nope)\b", re.IGNORECASE
)


class Rated(NamedTuple):
    """A judged turn with what its raters said."""

    turn: JudgedTurn
    label: int
    """Column of ``CLASSES``: 0 dissatisfied, 1 neither, 2 satisfied."""


def data_folder() -> Path:
    """Where the research data lies."""
    return Path(os.environ.get("GPA_DATA", "../shared/data"))


def read_uss(path: Path) -> Iterator[Rated]:
    """The rated turns of one corpus, in order."""
    for session in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [(line.split("\t") + [""] * 4)[:4] for line in session.strip().splitlines()]
        lines = [line for line in lines if line[1] != "OVERALL"]
        said: list[str] = []
        asked = 0
        answer: list[str] = []
        for number, (role, text, _, ratings) in enumerate(lines):
            if role != "USER":
                if number and lines[number - 1][0] == "USER":
                    answer, asked = [], len(said)
                answer.append(text)
                continue
            if answer and ratings.strip():
                mean = float(np.mean([float(rating) for rating in ratings.split(",")]))
                before = said[:asked]
                turn = JudgedTurn(
                    user=before[-1] if before else "",
                    assistant=" ".join(answer),
                    reply=text,
                    earlier=tuple(before[:-1]),
                    last=number == len(lines) - 1,
                )
                yield Rated(turn, 0 if mean < 2.75 else 2 if mean > 3.25 else 1)
            said.append(text)


def figures(labels: Labels, chances: Floats, verdicts: Labels) -> dict[str, Any]:
    """AUC of each side, balanced accuracy, macro-F1, and precision where confident."""
    from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

    result: dict[str, Any] = {
        "auc_dissatisfied": float(roc_auc_score(labels == 0, chances[:, 0])),
        "auc_satisfied": float(roc_auc_score(labels == 2, chances[:, 2])),
        "balanced_accuracy": float(balanced_accuracy_score(labels, verdicts)),
        "macro_f1": float(f1_score(labels, verdicts, average="macro")),
    }
    sure = chances[np.arange(len(labels)), verdicts]
    for threshold in CONFIDENT:
        told = (verdicts != 1) & (sure >= threshold)
        result[f"confident_{threshold:g}"] = precision(labels, verdicts, told)
        for side, name in ((0, "dissatisfied"), (2, "satisfied")):
            one = told & (verdicts == side)
            result[f"confident_{threshold:g}_{name}"] = precision(labels, verdicts, one)
    return result


def precision(labels: Labels, verdicts: Labels, told: NDArray[np.bool_]) -> dict[str, float]:
    """Coverage, and precision with and without the neutrally rated, of the turns told."""
    sided = told & (labels != 1)
    right = labels == verdicts
    return {
        "coverage": float(told.mean()),
        "strict": float(right[told].mean()) if told.any() else float("nan"),
        "sided": float(right[sided].mean()) if sided.any() else float("nan"),
    }


def dozen_words(rows: Sequence[Rated]) -> tuple[Floats, Labels]:
    """Words of praise minus words of complaint."""
    replies = [row.turn.reply for row in rows]
    balance = np.array(
        [len(_PLEASED.findall(text)) - len(_DISPLEASED.findall(text)) for text in replies], float
    )
    chances = np.stack([-balance, -np.abs(balance), balance], axis=1)
    return chances, (np.sign(balance) + 1).astype(np.int64)


def regression(train: tuple[Floats, Labels], test: Floats) -> Floats:
    """Balanced logistic regression on embeddings."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced").fit(*train)
    return np.asarray(model.predict_proba(test), dtype=np.float64)


def within(vectors: Floats, labels: Labels, folds: int = 3) -> Floats:
    """The same, trained on the other parts of the same corpus (neighbouring sessions together)."""
    fold = (np.arange(len(labels)) * folds) // len(labels)
    chances = np.zeros((len(labels), 3))
    for number in range(folds):
        kept = fold != number
        chances[~kept] = regression((vectors[kept], labels[kept]), vectors[~kept])
    return chances


class Remembering:
    """An encoder that embeds no text twice, so that verdicts and probabilities cost one pass."""

    def __init__(self, inner: TextEncoder) -> None:
        self.name, self.dim, self.origin = inner.name, inner.dim, inner.origin
        self._inner = inner
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed what is new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._inner.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def ours(encoder: TextEncoder | None, rows: Sequence[Rated]) -> tuple[Floats, Labels, float]:
    """Our reader's probabilities and verdicts, and seconds per reply."""
    reader = EmbeddedSatisfaction(Remembering(encoder) if encoder else None)
    turns = [row.turn for row in rows]
    start = time.perf_counter()
    verdicts = reader.judge(turns)
    seconds = (time.perf_counter() - start) / max(len(turns), 1)
    columns = np.array([CLASSES.index(verdict.judgment) for verdict in verdicts])
    return reader.probabilities(turns), columns, seconds


def run(limit: int | None, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """All figures: corpus, then reader."""
    folder = data_folder() / "uss"
    rows = {name: list(read_uss(folder / f"{name}.txt"))[:limit] for name in CORPORA}
    labels = {name: np.array([row.label for row in rows[name]]) for name in CORPORA}
    encoder = find_encoder(allow_download=False)
    vectors = {
        name: encoder.encode([row.turn.reply for row in rows[name]]).astype(np.float64)
        for name in CORPORA
    }
    readers: dict[str, TextEncoder | None] = {"cues": None, "hashing": HashingEncoder()}
    readers[encoder.name] = encoder
    tables: dict[str, dict[str, Any]] = {}
    for name, other in zip(CORPORA, reversed(CORPORA), strict=True):
        table = tables.setdefault(name, {})
        truth = labels[name]
        table["dozen words"] = figures(truth, *dozen_words(rows[name]))
        crossed = regression((vectors[other], labels[other]), vectors[name])
        table[f"{encoder.name} from {other}"] = figures(truth, crossed, crossed.argmax(axis=1))
        inside = within(vectors[name], truth)
        table[f"{encoder.name} within"] = figures(truth, inside, inside.argmax(axis=1))
        for reader, its_encoder in readers.items():
            if reader in names:
                chances, verdicts, seconds = ours(its_encoder, rows[name])
                table[f"ours, {reader}"] = figures(truth, chances, verdicts)
                table[f"ours, {reader}"]["milliseconds"] = 1000 * seconds
    return tables


def show(tables: dict[str, dict[str, Any]]) -> None:
    """Print the tables, each figure beside its ratio to the dozen words."""
    columns = ("auc_dissatisfied", "auc_satisfied", "balanced_accuracy", "macro_f1")
    for corpus, table in tables.items():
        print(
            f"\n{corpus}: {'':22}" + "".join(f"{column:>24}" for column in columns) + "   ms/reply"
        )
        base = table["dozen words"]
        for reader, row in table.items():
            cells = "".join(f"{row[c]:15.3f} (x{row[c] / base[c]:.2f})" + " " for c in columns)
            print(f"  {reader:26}{cells}   {row.get('milliseconds', float('nan')):8.2f}")
        print(
            f"  {'confident:':26}"
            + "".join(f"{f'>= {t:g}: share/strict/sided':>32}" for t in CONFIDENT)
        )
        for reader, row in table.items():
            if "dozen" in reader:
                continue
            for side in ("dissatisfied", "satisfied"):
                sure = [row[f"confident_{t:g}_{side}"] for t in CONFIDENT]
                text = "".join(
                    f"{c['coverage']:16.3f}/{c['strict']:7.3f}/{c['sided']:7.3f}" for c in sure
                )
                print(f"  {reader:20}{side[:6]}{text}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--limit", type=int, help="only the first rows of each corpus")
    parser.add_argument("--encoder", action="append", help="cues, hashing or minilm; all if absent")
    options = parser.parse_args()
    tables = run(options.limit, options.encoder or ("cues", "hashing", "minilm"))
    if options.json:
        print(json.dumps(tables, indent=1))
    else:
        show(tables)


if __name__ == "__main__":
    main()
