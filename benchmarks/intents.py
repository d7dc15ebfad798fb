"""Intents and groups beside ten-line sketches, on real utterances.

Run: ``python benchmarks/intents.py [--data ../shared/data] [--json]``

CLINC150 (Larson et al. 2019): 150 intents; accuracy on the test split, and the AUC of telling
it from out-of-scope utterances by confidence. The sketches are what one would write without us:
cosine to the bare label name, and logistic regression over embeddings with the largest
probability as confidence. Every constant of ours was chosen on the training splits. Then
recquest: can a shopper's expertise be told from wording, over all domains at once and within
each?
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding import HashingEncoder, TextEncoder, find_encoder
from gpa_agent.understanding.distilled import DistilledClassifier
from gpa_agent.understanding.groups import train_group_classifier
from gpa_agent.understanding.intents import build_intent_classifier
from gpa_agent.understanding.taxonomy import Entry


class Split(NamedTuple):
    """Utterances and their intents."""

    texts: list[str]
    labels: list[str]


class Row(NamedTuple):
    """One line of the table."""

    encoder: str
    method: str
    accuracy: float
    out_of_scope_auc: float
    seconds: float


class Remembering:
    """An encoder that keeps what it has encoded, so that methods do not pay for one another."""

    def __init__(self, inner: TextEncoder) -> None:
        self.name, self.dim, self.origin = inner.name, inner.dim, inner.origin
        self._inner = inner
        self._seen: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode what is new, remember it, and answer for all."""
        new = [text for text in dict.fromkeys(texts) if text not in self._seen]
        self._seen.update(zip(new, self._inner.encode(new), strict=True))
        return np.array([self._seen[text] for text in texts], np.float32).reshape(-1, self.dim)


def read_split(folder: Path) -> Split:
    texts, labels = (
        (folder / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "label")
    )
    return Split(texts, labels)


def auc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    outside = np.sort(outside)
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    return float(below.mean() / 2 / len(outside))


def ours(encoder: TextEncoder, train: Split, test: Split, strange: Split, shots: int) -> Row:
    start = time.perf_counter()
    examples: dict[str, list[str]] = {label: [] for label in train.labels}
    for text, label in zip(train.texts, train.labels, strict=True):
        examples[label].append(text)
    taxonomy = {label: Entry(examples=tuple(e[:shots])) for label, e in examples.items()}
    classifier: DistilledClassifier = build_intent_classifier(taxonomy, encoder)
    best = classifier.probabilities(test.texts).argmax(axis=1)
    right = [classifier.labels[k] == label for k, label in zip(best, test.labels, strict=True)]
    score = auc(classifier.confidences(test.texts), classifier.confidences(strange.texts))
    name = "ours, zero-shot" if shots == 0 else f"ours, {shots}-shot"
    return Row(encoder.name, name, float(np.mean(right)), score, time.perf_counter() - start)


def bare_names(encoder: TextEncoder, train: Split, test: Split, strange: Split) -> Row:
    start = time.perf_counter()
    labels = sorted(set(train.labels))
    names = encoder.encode([label.replace("_", " ") for label in labels])
    inside, outside = encoder.encode(test.texts) @ names.T, encoder.encode(strange.texts) @ names.T
    right = [labels[k] == t for k, t in zip(inside.argmax(axis=1), test.labels, strict=True)]
    score = auc(inside.max(axis=1), outside.max(axis=1))
    method = "sketch: bare label name"
    return Row(encoder.name, method, float(np.mean(right)), score, time.perf_counter() - start)


def plain_regression(
    encoder: TextEncoder, train: Split, test: Split, strange: Split, shots: int
) -> Row:
    from sklearn.linear_model import LogisticRegression

    start = time.perf_counter()
    model = LogisticRegression(C=10, max_iter=300).fit(encoder.encode(train.texts), train.labels)
    inside = model.predict_proba(encoder.encode(test.texts))
    outside = model.predict_proba(encoder.encode(strange.texts))
    right = model.classes_[inside.argmax(axis=1)] == np.array(test.labels)
    score = auc(inside.max(axis=1), outside.max(axis=1))
    method = f"sketch: regression, {shots}-shot"
    return Row(encoder.name, method, float(np.mean(right)), score, time.perf_counter() - start)


def intent_rows(encoder: TextEncoder, folder: Path) -> list[Row]:
    five, ten, test, strange = (
        read_split(folder / name) for name in ("train_5", "train_10", "test", "oos")
    )
    encoder.encode([*five.texts, *ten.texts, *test.texts, *strange.texts])
    return [
        bare_names(encoder, ten, test, strange),
        ours(encoder, ten, test, strange, 0),
        plain_regression(encoder, five, test, strange, 5),
        ours(encoder, five, test, strange, 5),
        plain_regression(encoder, ten, test, strange, 10),
        ours(encoder, ten, test, strange, 10),
    ]


def latency(encoder: TextEncoder, rounds: int = 100) -> tuple[float, float]:
    """Median and 95th percentile of classifying one short text among three intents, in ms."""
    taxonomy = {name: Entry() for name in ("billing", "travel", "programming")}
    classifier = build_intent_classifier(taxonomy, encoder)
    taken: list[float] = []
    for number in range(rounds):
        start = time.perf_counter()
        classifier.classify([f"please help me with python error number {number}"])
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken)), float(np.quantile(taken, 0.95))


def group_rows(encoder: TextEncoder, path: Path) -> list[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if row["expertise"] in {"Novice", "Expert"}]
    texts = [" ".join(m["content"] for m in r["messages"] if m["role"] == "user") for r in rows]
    groups, people = [row["expertise"] for row in rows], [row["id"] for row in rows]
    found: list[dict[str, object]] = []
    for name, strata in (("all domains", None), ("within domain", [r["domain"] for r in rows])):
        _, report = train_group_classifier(texts, groups, people, encoder, strata=strata)
        found.append(
            {
                "encoder": encoder.name,
                "compared": name,
                "auc": report.auc,
                "interval": report.interval,
                "trained": report.trained,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Intents and groups beside ten-line sketches.")
    parser.add_argument("--data", type=Path, default=os.environ.get("GPA_DATA", "../shared/data"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = Path(options.data)
    folder, dialogues = data / "intents" / "CLINC150", data / "recquest" / "dialogues.jsonl"
    if not folder.is_dir():
        parser.error(f"no research data at {str(folder)!r}: give --data or set GPA_DATA")
    found = find_encoder(allow_download=False)
    encoders = {encoder.name: encoder for encoder in (found, HashingEncoder())}
    intents: list[Row] = []
    groups: list[dict[str, object]] = []
    speed: dict[str, tuple[float, float]] = {}
    for name, encoder in encoders.items():
        speed[name] = latency(encoder)
        remembering = Remembering(encoder)
        intents += intent_rows(remembering, folder)
        groups += group_rows(remembering, dialogues)
    if options.json:
        rows = [row._asdict() for row in intents]
        print(json.dumps({"intents": rows, "groups": groups, "classify_ms": speed}))
        return
    show(intents, groups, speed)


def show(
    intents: list[Row],
    groups: list[dict[str, object]],
    speed: dict[str, tuple[float, float]],
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("encoder", "method", "accuracy", "out-of-scope AUC", "seconds", title="CLINC150")
    for row in intents:
        figures = (f"{row.accuracy:.3f}", f"{row.out_of_scope_auc:.3f}", f"{row.seconds:.1f}")
        table.add_row(row.encoder, row.method, *figures)
    console.print(table)
    table = Table("encoder", "compared", "AUC", "95% interval", "classifier", title="recquest")
    for found in groups:
        table.add_row(*(_cell(value) for value in found.values()))
    console.print(table)
    for name, (median, high) in speed.items():
        console.print(f"{name}: one short text classified in {median:.1f} ms (p95 {high:.1f} ms)")


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{part:.2f}" for part in value)
    if isinstance(value, bool):
        return "yes" if value else "none"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
