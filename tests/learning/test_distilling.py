"""When a classifier trained on a model's labels takes over from the one in service."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from gpa_agent.conversations.records import UNKNOWN, Judgment, Verdict
from gpa_agent.embedding import HashingEncoder, TextEncoder, find_encoder
from gpa_agent.errors import UsageError
from gpa_agent.learning.distilling import (
    DistilConfig,
    DistilReport,
    distil_groups,
    distil_intents,
    distil_satisfaction,
    keep_better,
)
from gpa_agent.learning.sampling import is_held_out
from gpa_agent.settings import Intent
from gpa_agent.testing.chat_world import TAXONOMY, ChatWorld
from gpa_agent.understanding.agreement import Said
from gpa_agent.understanding.intents import build_intent_classifier
from gpa_agent.understanding.protocols import JudgedTurn
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction


class Log(NamedTuple):
    """A simulated log as a model would label it: one answer in twenty is wrong."""

    turns: list[JudgedTurn]
    verdicts: list[Verdict]
    speakers: list[str]
    asked: list[str]
    said: list[str]
    intents: list[str]
    groups: list[str]
    people: list[str]


@cache
def log(people: int = 60) -> Log:
    rng = Random(f"log/{people}")
    made = Log([], [], [], [], [], [], [], [])
    for record in ChatWorld(people=people, conversations=3, explicit=1.0, seed=5).log():
        texts = [m["content"] for m in record["messages"]]
        for i in range(0, len(texts) - 2, 2):
            thumb = Judgment(record["messages"][i + 1]["judgment"])
            # Every fifth reaction is one that a model would read nothing in.
            reply, told = (texts[i], Judgment.NEITHER) if i % 5 == 4 else (texts[i + 2], thumb)
            made.turns.append(JudgedTurn(texts[i], texts[i + 1], reply))
            made.verdicts.append(Verdict(told, 0.9, "a model"))
            made.speakers.append(record["user"])
        wrong = rng.random() < 0.05
        made.asked.append(texts[0])
        made.said.append("\n".join(texts[::2]))
        made.intents.append(rng.choice(list(TAXONOMY)) if wrong else record["intent"])
        made.groups.append(rng.choice(["novice", "expert"]) if wrong else record["group"])
        made.people.append(record["user"])
    return made


def encoder_called(name: str) -> TextEncoder:
    encoder = HashingEncoder() if name == "hashing" else find_encoder(allow_download=False)
    if encoder.name != name:
        pytest.skip("all-MiniLM-L6-v2 is not installed")
    return encoder


def taxonomy() -> dict[str, Intent]:
    return {name: Intent(description=text) for name, text in TAXONOMY.items()}


def said(labels: list[str], confidence: float = 1.0) -> Said:
    return Said(labels, np.full(len(labels), confidence))


# ---- which of two serves


PEOPLE = [f"p{i % 30}" for i in range(120)]
TRUE = ["a", "b", "c"] * 40
GOOD = said([t if i % 10 else "a" for i, t in enumerate(TRUE)])
BAD = said([t if i % 2 else "a" for i, t in enumerate(TRUE)])


@pytest.mark.parametrize("more", [True, False])
def test_the_better_one_serves_whoever_learned_from_more(more: bool) -> None:
    assert keep_better(GOOD, BAD, TRUE, PEOPLE, more=more).kept == "new"
    assert keep_better(BAD, GOOD, TRUE, PEOPLE, more=more).kept == "old"


def test_where_neither_is_better_the_one_that_learned_from_more_serves() -> None:
    assert keep_better(GOOD, GOOD, TRUE, PEOPLE, more=True).kept == "new"
    decision = keep_better(GOOD, GOOD, TRUE, PEOPLE, more=False)
    assert decision.kept == "old"
    assert "not better" in decision.reason


def test_few_people_replace_nothing() -> None:
    decision = keep_better(GOOD, BAD, TRUE, [f"p{i % 9}" for i in range(120)], more=True)
    assert decision.kept == "old"
    assert "fewer than 10 people" in decision.reason


def test_with_one_or_none_there_is_nothing_to_compare() -> None:
    assert keep_better(GOOD, None, TRUE, PEOPLE, more=True).kept == "new"
    assert keep_better(None, BAD, TRUE, PEOPLE, more=True).kept == "old"
    assert keep_better(None, None, TRUE, PEOPLE, more=True).kept == "none"


# ---- the three classifiers, on a simulated log


@pytest.mark.parametrize("name", ["hashing", "minilm"])
def test_intents_a_model_named_are_learned(name: str) -> None:
    encoder = encoder_called(name)
    zero_shot = build_intent_classifier(taxonomy(), encoder)
    made = log()
    distilled = distil_intents(
        made.asked,
        made.intents,
        made.people,
        taxonomy(),
        encoder,
        in_service=zero_shot,
        remaining=1000,
    )
    report = distilled.report
    assert report.kept == "new"
    assert distilled.new is not None
    assert report.agreement is not None
    assert report.agreement_before is not None
    assert report.agreement > 0.85 > report.agreement_before
    assert report.coverage is not None
    assert report.calls_saved == round(1000 * report.coverage) > 500
    # One label in thirty is wrong on purpose, and no classifier can agree with that.
    assert report.cost is not None
    assert report.cost < 0.1
    assert report.cost_interval is not None
    assert report.cost_interval.low <= report.cost <= report.cost_interval.high
    again = distil_intents(
        made.asked,
        made.intents,
        made.people,
        taxonomy(),
        encoder,
        in_service=distilled.new,
        learned_from=report.labelled - report.held_out,
    )
    assert again.report.kept == "old"
    assert again.new is None
    assert again.report.agreement_before == report.agreement


def test_people_held_out_are_never_trained_on() -> None:
    made = log()
    # Whoever is held out asks in words of their own: what is learned must not know them.
    pairs = zip(made.asked, made.people, strict=True)
    asked = [f"zyx {a}" if is_held_out(p) else a for a, p in pairs]
    plain, marked = (
        distil_intents(
            texts, made.intents, made.people, taxonomy(), HashingEncoder(), in_service=None
        ).new
        for texts in (made.asked, asked)
    )
    assert plain is not None
    assert marked is not None
    assert plain.version == marked.version


def test_groups_a_model_named_are_learned_where_wording_tells_them() -> None:
    made = log()
    distilled = distil_groups(
        made.said,
        made.groups,
        made.people,
        HashingEncoder(),
        in_service=None,
        strata=made.intents,
        min_confidence=0.7,
        remaining=100,
    )
    assert distilled.report.kept == "new"
    assert distilled.report.reason == "nothing was in service"
    assert distilled.report.agreement_before is None
    shuffled = [*made.groups]
    Random(1).shuffle(shuffled)
    nothing = distil_groups(
        made.said, shuffled, made.people, HashingEncoder(), in_service=distilled.new
    )
    assert nothing.report.kept == "old"
    assert "cannot be told from wording" in nothing.report.reason
    none = distil_groups(made.said, shuffled, made.people, HashingEncoder(), in_service=None)
    assert none.report.kept == "none"
    assert none.report.coverage is None


def test_verdicts_of_a_model_are_learned() -> None:
    made = log()
    reader = EmbeddedSatisfaction(HashingEncoder())
    distilled = distil_satisfaction(
        made.turns,
        made.verdicts,
        made.speakers,
        HashingEncoder(),
        in_service=reader,
        remaining=10_000,
    )
    report = distilled.report
    assert report.kept == "new", report.reason
    assert report.macro_f1 is not None
    assert report.macro_f1_before is not None
    assert report.macro_f1 > report.macro_f1_before
    assert report.gain_agreement is not None
    assert report.gain_agreement.low < report.gain_agreement.high
    same = distil_satisfaction(
        made.turns,
        reader.judge(made.turns),
        made.speakers,
        HashingEncoder(),
        in_service=reader,
        remaining=10_000,
    )
    assert same.new is None
    assert same.report.kept == "old"
    assert same.report.cost == 0.0
    # What the old reader is sure of needs no model either.
    assert same.report.calls_saved > 0


def test_what_is_unknown_is_never_labelled_without_the_model() -> None:
    made = log(20)
    report = distil_intents(
        made.asked,
        made.intents,
        made.people,
        taxonomy(),
        HashingEncoder(),
        in_service=None,
        min_confidence=1.0,
        remaining=50,
    ).report
    assert report.coverage == 0.0
    assert report.calls_saved == 0
    assert report.cost is None


def test_a_report_is_json_without_texts() -> None:
    made = log(20)
    report = distil_intents(
        made.asked, made.intents, made.people, taxonomy(), HashingEncoder(), in_service=None
    ).report
    text = report.model_dump_json()
    assert DistilReport.model_validate_json(text) == report
    assert json.loads(text)["classifier"] == "intent"
    assert not any(asked in text for asked in made.asked)


def test_no_rows_are_no_classifier() -> None:
    report = distil_intents([], [], [], taxonomy(), HashingEncoder(), in_service=None).report
    assert (report.kept, report.labelled, report.agreement) == ("none", 0, None)
    assert "no intent has" in report.reason
    satisfaction = distil_satisfaction([], [], [], None, in_service=EmbeddedSatisfaction()).report
    assert satisfaction.kept == "old"
    assert UNKNOWN not in satisfaction.reason


def test_misuse_is_refused() -> None:
    with pytest.raises(UsageError, match="1 people"):
        distil_intents(["a", "b"], ["x", "x"], ["p"], {}, HashingEncoder(), in_service=None)
    with pytest.raises(UsageError, match="share"):
        DistilConfig(share=0.0)
