"""What learning with a model will come to, before the first call: calls, tokens, money.

What is to be labelled is known: the very questions are built, counted and measured, and none is
asked. What is to be explained hangs on how turns will be judged: of those judged already it is
known, too; of the others a sample is read by the local satisfaction reader. The contrasts hang on
all that, and on what people will turn out to have voiced: theirs are expectations, from what this
ledger's people voiced so far where there is enough of it. They are a small part of a run. Where
a contrast was asked about before, only what comes new is: new preferences, and new claims.

The same question asked twice is one call: the second is answered from the ledger. Memory stays
flat but for some thirty bytes a question.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from gpa_agent.calls.messages import Usage
from gpa_agent.calls.prices import price_of
from gpa_agent.calls.tokens import ENOUGH, Finished, TokenRates, finished, length, token_rates
from gpa_agent.conversations.records import GENERAL_INTENT, Judgment
from gpa_agent.learning.cases import FINDING, TESTING
from gpa_agent.learning.embedded import contrasts_of
from gpa_agent.learning.kept_claims import KeptClaims, kept_claims
from gpa_agent.learning.model_labels import VERDICTS, Versions, groups_of, label_asks, versions_of
from gpa_agent.learning.model_preferences import ask_of, preference_source
from gpa_agent.learning.refining import asked_with
from gpa_agent.prompts import PromptName, SatisfactionAnswer, Unreadable, load, read_answer
from gpa_agent.rubrics.fold import FoldConfig
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast
from gpa_agent.understanding.protocols import JudgedTurn

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask
    from gpa_agent.settings import Settings
    from gpa_agent.understanding.protocols import SatisfactionReader

SAMPLED: Final = 500
"""Turns the local reader reads; a share of 0.8 is then known within 0.02, mostly."""

VOICED: Final = 0.6
"""Share of explained turns that voice a preference. Measured on nothing but the simulated world
(`gpa_agent.testing.voiced_world`): it stands in until this ledger has explanations of its own."""

DISTINCT: Final = 0.7
"""Share of preferences that are left when near-duplicates are one. Measured as `VOICED`."""

TOLD: Final = 0.4
"""Share of conversations in which the model can tell the user's group. Measured as `VOICED`."""

CLAIMS: Final = 4
"""Aspects a contrast ends in, each of which is checked. Measured as `VOICED`."""

VOICED_CHARS: Final = 70
"""Characters of a preference: expectation and reasons. Measured as `VOICED`."""

_NUMBERED_CHARS: Final = 80
"""Characters of JSON around a preference."""
_CLAIM_CHARS: Final = 170
"""Characters of a claim as it is shown for attribution."""
_ASPECT_CHARS: Final = 380
"""Characters of an aspect as it is carried from round to round."""

_POLES: Final[Mapping[Judgment, PromptName]] = {
    Judgment.SAT: "preference_sat",
    Judgment.DSAT: "preference_dsat",
}


class PromptEstimate(BaseModel):
    """What the questions of one prompt will come to."""

    model_config = ConfigDict(frozen=True)

    calls: int
    input_tokens: int
    output_tokens: int


class Estimate(BaseModel):
    """What a run will come to, beyond what the call ledger holds already."""

    model_config = ConfigDict(frozen=True)

    calls: int
    """Without repairs and repeated tries."""
    by_prompt: dict[str, PromptEstimate]
    input_tokens: int
    output_tokens: int
    cost: float | None
    """US dollars online, nothing cached; None where no price is known."""
    basis: str
    """How it was made, in a sentence."""


def estimate(
    ledger: Ledger,
    settings: Settings,
    model_name: str,
    *,
    reader: SatisfactionReader,
    sampled: Container[str] | None = None,
) -> Estimate:
    """Tell what a run of the model engine will come to; nothing is asked.

    Args:
        ledger: What is learned from.
        settings: What the run goes by.
        model_name: The model, as `gpa_agent.models.model_name` names it.
        reader: Reads a sample of the turns in the model's place; one that was not trained on this
            model's labels, which it would know too well to be corrected by.
        sampled: Input ids the model labels; None for all.

    Raises:
        StoreError: The ledger cannot be read.
    """
    versions, source = versions_of(model_name, settings), preference_source(model_name)
    questions = _Questions()
    unjudged = _count_labels(ledger, settings, versions, sampled, questions)
    known = _count_explanations(ledger, source, unjudged, questions)
    done = finished(ledger, model_name)
    reading = _expected_reading(unjudged, done, reader)
    for pole, share in reading.items():
        questions.expect(_POLES[pole], share.calls * unjudged.turns, share.chars * unjudged.turns)
    explained = known + unjudged.turns * sum(share.calls for share in reading.values())
    voiced = _count_contrasts(ledger, settings, model_name, versions, explained, questions)
    rates = token_rates(ledger, model_name, done)
    return _summed(questions, rates, settings, model_name, _basis(unjudged, reading, voiced, rates))


class _Sum(NamedTuple):
    """Questions of one prompt; fractions, where they are expected ones.

    Attributes:
        calls: How many.
        chars: Characters of them.
    """

    calls: float = 0.0
    chars: float = 0.0


class _Known(NamedTuple):
    """The very questions of one prompt.

    Attributes:
        hashes: Of their texts.
        chars: Their lengths.
    """

    hashes: array[int]
    chars: array[int]

    def once(self) -> _Sum:
        """Each different question once."""
        _, at = np.unique(np.frombuffer(self.hashes, np.uint64), return_index=True)
        return _Sum(len(at), int(np.frombuffer(self.chars, np.uint32)[at].sum(dtype=np.int64)))


class _Questions:
    """Questions by prompt: those that are known, and those to be expected."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._expected: dict[str, _Sum] = {}

    def ask(self, ask: Ask) -> None:
        """Count a question."""
        known = self._known.setdefault(ask.prompt, _Known(array("Q"), array("I")))
        known.hashes.append(_hash(f"{ask.system}\x1f{ask.data}"))
        known.chars.append(length(ask))

    def expect(self, prompt: str, calls: float, chars: float) -> None:
        """Count so many questions with so many characters together."""
        before = self._expected.get(prompt, _Sum())
        self._expected[prompt] = _Sum(before.calls + calls, before.chars + chars)

    def sums(self) -> dict[str, _Sum]:
        """All questions, by prompt."""
        known = {prompt: questions.once() for prompt, questions in self._known.items()}
        return {
            prompt: _Sum(*map(sum, zip(known.get(prompt, _Sum()), expected, strict=True)))
            for prompt in sorted(known.keys() | self._expected.keys())
            for expected in [self._expected.get(prompt, _Sum())]
        }


class _Share(NamedTuple):
    """Questions about an unjudged turn that are to be expected.

    Attributes:
        calls: How many, in [0, 1].
        chars: Characters of them.
    """

    calls: float
    chars: float


@dataclass(kw_only=True)
class _Unjudged:
    """Turns whose judgment is still to come."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))
    """Of their input ids."""
    sample: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Minus hash and data of the questions with the smallest hashes, as a heap."""

    @property
    def turns(self) -> int:
        """How many."""
        return len(self.hashes)

    def add(self, ask: Ask) -> None:
        """Take a turn by the question about its satisfaction."""
        hashed = _hash(ask.subject or "")
        self.hashes.append(hashed)
        if len(self.sample) < SAMPLED:
            heapq.heappush(self.sample, (-hashed, ask.data))
        elif -hashed > self.sample[0][0]:
            heapq.heapreplace(self.sample, (-hashed, ask.data))


def _count_labels(
    ledger: Ledger,
    settings: Settings,
    versions: Versions,
    sampled: Container[str] | None,
    questions: _Questions,
) -> _Unjudged:
    """Count what is to be labelled; all turns are judged, if not all of them by the model."""
    unjudged = _Unjudged()
    for ask in label_asks(ledger, settings, versions, sampled=None):
        if ask.prompt == "satisfaction":
            unjudged.add(ask)
        if sampled is None or (ask.subject or "") in sampled:
            questions.ask(ask)
    return unjudged


def _count_explanations(
    ledger: Ledger, source: str, unjudged: _Unjudged, questions: _Questions
) -> int:
    """Count explanations of turns whose judgment stands; how many there are, done ones too."""
    waiting = np.sort(np.frombuffer(unjudged.hashes, np.uint64))
    counted = 0
    for page in ledger.turns_to_explain(source):
        hashes = np.array([_hash(text.input_id) for text in page], np.uint64)
        for text, waits in zip(page, np.isin(hashes, waiting), strict=True):
            if not waits and text.turn.reply:
                questions.ask(ask_of(text))
                counted += 1
    return counted


def _expected_reading(
    unjudged: _Unjudged, done: Sequence[Finished], reader: SatisfactionReader
) -> dict[Judgment, _Share]:
    """What explanations a turn that is not judged will need, on average."""
    if not unjudged.sample:
        return {}
    data = [data for _, data in unjudged.sample]
    verdicts = [verdict.judgment for verdict in reader.judge([_turn(d) for d in data])]
    corrected = _read_before(done, reader)
    expected: dict[Judgment, _Share] = {}
    for pole, prompt in _POLES.items():
        asked = [len(d) for d, verdict in zip(data, verdicts, strict=True) if verdict is pole]
        share = min(1.0, len(asked) / len(data) * corrected[pole])
        mean = sum(asked) / len(asked) if asked else sum(map(len, data)) / len(data)
        expected[pole] = _Share(share, share * (mean + len(load(prompt).instructions)))
    return expected


def _turn(data: str) -> JudgedTurn:
    """The turn a question about satisfaction shows."""
    shown = json.loads(data)
    return JudgedTurn(shown["user"], shown["assistant"], shown["reply"], tuple(shown["earlier"]))


def _read_before(done: Sequence[Finished], reader: SatisfactionReader) -> dict[Judgment, float]:
    """How often the model judged turns a way for each time the local reader did, where known."""
    if len(done) < ENOUGH:
        return dict.fromkeys(_POLES, 1.0)
    local = Counter(v.judgment for v in reader.judge([_turn(one.ask.data) for one in done]))
    model = Counter(verdict for one in done if (verdict := _verdict(one.answer)) is not None)
    return {pole: (model[pole] + 1) / (local[pole] + 1) for pole in _POLES}


def _verdict(answer: str) -> Judgment | None:
    try:
        said = cast("SatisfactionAnswer", read_answer(load("satisfaction"), answer))
    except Unreadable:
        return None
    return VERDICTS[said.verdict]


class _Voiced(NamedTuple):
    """What explanations come to.

    Attributes:
        turns: Explained turns there are.
        share: Share of explained turns that voice something.
        chars: Characters of a preference, expectation and reasons.
    """

    turns: int
    share: float
    chars: float


def _voiced(ledger: Ledger, source: str) -> _Voiced:
    turns = said = chars = 0
    for row in ledger.heard(source):
        turns += 1
        if row.expectation is not None:
            said += 1
            chars += len(row.expectation) + len(row.reason or "")
    if said < ENOUGH:
        return _Voiced(turns, VOICED, VOICED_CHARS)
    return _Voiced(turns, said / turns, chars / said)


class _Cell(NamedTuple):
    """Where a turn stands.

    Attributes:
        intent: None where nothing names one.
        group: None where nothing names one.
    """

    intent: str | None
    group: str | None


class _Crowd(NamedTuple):
    """Who is there.

    Attributes:
        turns: Turns with a reply, by cell; fractions where cells are expected ones.
        people: People with such turns, by group.
    """

    turns: Mapping[_Cell, float]
    people: dict[str, int]


def _crowd(ledger: Ledger, settings: Settings, versions: Versions) -> _Crowd:
    """Turns by intent and group, as they are named or, in equal parts, may come to be told."""
    turns: defaultdict[_Cell, float] = defaultdict(float)
    people: defaultdict[str, set[str]] = defaultdict(set)
    anonymous = Counter[str]()
    for labelled in ledger.labelled_texts("group", versions.group):
        turns[_Cell(labelled.intent, labelled.label)] += len(labelled.texts) - 1
        if labelled.person is None:
            anonymous[labelled.label] += 1
        else:
            people[labelled.label].add(labelled.person)
    told = groups_of(settings)
    for page in ledger.to_label("group", versions.group):
        replies = sum(len(unlabelled.texts) - 1 for unlabelled in page)
        for group in told:
            turns[_Cell(None, group)] += replies * TOLD / len(told)
            people[group].update(unlabelled.person or "" for unlabelled in page)
        turns[_Cell(None, None)] += replies * (1 - TOLD if told else 1)
    known = {group: len(members) for group, members in people.items()}
    return _Crowd(_spread(turns, settings), dict(Counter(known) + anonymous))


def _spread(turns: Mapping[_Cell, float], settings: Settings) -> dict[_Cell, float]:
    """Turns that name no intent, dealt to the intents there are."""
    named = {cell.intent for cell in turns if cell.intent} | settings.intents.keys()
    intents = sorted(named) or [GENERAL_INTENT]
    spread: defaultdict[_Cell, float] = defaultdict(float)
    for cell, count in turns.items():
        for intent in [cell.intent] if cell.intent else intents:
            spread[_Cell(intent, cell.group)] += count if cell.intent else count / len(intents)
    return spread


def _count_contrasts(
    ledger: Ledger,
    settings: Settings,
    model_name: str,
    versions: Versions,
    to_explain: float,
    questions: _Questions,
) -> _Voiced:
    """Count the questions of every intent and contrast that are not answered already."""
    source = preference_source(model_name)
    crowd, voiced = _crowd(ledger, settings, versions), _voiced(ledger, source)
    how = asked_with(settings, model_name)
    kept = {p: k for p, k in kept_claims(ledger, source).items() if k.asked_with == how}
    turns = max(sum(crowd.turns.values()), 1)
    explained, new = ((voiced.turns + to_explain) / turns, to_explain / turns)
    for contrast in contrasts_of(settings, crowd.people):
        for intent in sorted({cell.intent for cell in crowd.turns if cell.intent}):
            before = kept.get((intent, contrast.group, contrast.other))
            if before is None or (to_explain and not before.seen):
                sides = _sides(crowd, intent, contrast, min(explained, 1.0))
                _count_contrast(sides, settings, voiced, questions)
            else:
                sides = _sides(crowd, intent, contrast, min(new, 1.0))
                _count_refinement(sides, before, settings, voiced, questions)
    return voiced


def _sides(
    crowd: _Crowd, intent: str, contrast: Contrast, explained: float
) -> tuple[list[float], list[float]]:
    """Explained turns of the groups on either side."""
    first = [crowd.turns.get(_Cell(intent, contrast.group), 0.0) * explained]
    everybody = contrast.other == EVERYBODY_ELSE
    other = [
        turns * explained
        for cell, turns in crowd.turns.items()
        if cell.intent == intent
        and cell.group != contrast.group
        and (everybody or cell.group == contrast.other)
    ]
    return first, other


def _count_contrast(
    sides: tuple[list[float], list[float]],
    settings: Settings,
    voiced: _Voiced,
    questions: _Questions,
) -> None:
    """Count one contrast's rounds, attributions and checks."""
    size = settings.minibatch_size
    shown = voiced.chars + _NUMBERED_CHARS
    finding = [
        DISTINCT * sum(min(n * settings.discovery * voiced.share, FINDING) for n in side)
        for side in sides
    ]
    heard = voiced.share * sum(
        min(n * (1 - settings.discovery), TESTING) for side in sides for n in side
    )
    batches = [math.ceil(round(n) / size) for n in finding]
    if not all(batches):
        return
    rounds = math.prod(batches) if settings.pairing == "cross" else max(batches)
    tree = settings.fold == "tree" or (settings.fold == "auto" and rounds >= FoldConfig().tree_from)
    per_round = sum(n / b for n, b in zip(finding, batches, strict=True)) * shown
    carried = 0 if tree else CLAIMS * _ASPECT_CHARS * (rounds - 1)
    _add(questions, "aspects", rounds, rounds * per_round + carried)
    if tree:
        _add(questions, "merging", rounds - 1, (rounds - 1) * 2 * CLAIMS * _ASPECT_CHARS)
    asked = math.ceil(heard / size)
    _add(questions, "voices", asked, asked * CLAIMS * _CLAIM_CHARS + heard * shown)
    _add(questions, "validity", CLAIMS, CLAIMS * _ASPECT_CHARS)


def _count_refinement(
    new: tuple[list[float], list[float]],
    kept: KeptClaims,
    settings: Settings,
    voiced: _Voiced,
    questions: _Questions,
) -> None:
    """Count what is new of a contrast that was asked about before.

    A fold comes with every half minibatch of a side, on average; the more the log has grown, the
    likelier it ends in a claim that all preferences are asked about.
    """
    if not any(map(sum, new)):
        return
    size, claims = settings.minibatch_size, len(kept.claims)
    shown = voiced.chars + _NUMBERED_CHARS
    finding = [sum(side) * settings.discovery * voiced.share for side in new]
    heard = sum(map(sum, new)) * (1 - settings.discovery) * voiced.share
    folds = min(1.0, 2 * min(finding) / size)
    rounds = folds * max(1.0, DISTINCT * max(finding) / size)
    found = folds * CLAIMS * sum(finding) / max(sum(finding) + len(kept.seen), 1.0)
    listed = rounds * claims * _ASPECT_CHARS
    _add(questions, "aspects", rounds, DISTINCT * sum(finding) * shown + listed)
    if claims:
        asked = math.ceil(heard / size)
        _add(questions, "voices", asked, asked * claims * _CLAIM_CHARS + heard * shown)
    everybody = min(found, 1.0) * (heard + len(kept.voices))
    asked_anew = everybody / size
    _add(questions, "voices", asked_anew, asked_anew * _CLAIM_CHARS + everybody * shown)
    _add(questions, "validity", found, found * _ASPECT_CHARS)


def _add(questions: _Questions, prompt: PromptName, calls: float, data: float) -> None:
    questions.expect(prompt, calls, calls * len(load(prompt).instructions) + data)


def _summed(
    questions: _Questions, rates: TokenRates, settings: Settings, model: str, basis: str
) -> Estimate:
    by_prompt = {
        prompt: PromptEstimate(
            calls=round(expected.calls),
            input_tokens=round(rates.input_tokens(expected.chars)),
            output_tokens=round(expected.calls * rates.output_tokens(prompt)),
        )
        for prompt, expected in questions.sums().items()
    }
    sent = sum(one.input_tokens for one in by_prompt.values())
    said = sum(one.output_tokens for one in by_prompt.values())
    price = settings.price or price_of(model)
    return Estimate(
        calls=sum(one.calls for one in by_prompt.values()),
        by_prompt=by_prompt,
        input_tokens=sent,
        output_tokens=said,
        cost=price.cost(Usage(sent, said)) if price else None,
        basis=basis,
    )


def _basis(
    unjudged: _Unjudged, reading: Mapping[Judgment, _Share], voiced: _Voiced, rates: TokenRates
) -> str:
    share = sum(one.calls for one in reading.values())
    parts = ["Questions about satisfaction, intent and group are counted exactly"]
    if unjudged.turns:
        parts.append(
            f"of {unjudged.turns} turns without a judgment {share:.0%} are expected to need an "
            f"explanation, by what the local reader makes of {len(unjudged.sample)} of them"
            + (", corrected by what the model made of others" if rates.measured else "")
        )
    known = f"{voiced.turns} turns explained so far" if voiced.turns else "a simulated log"
    parts.append(f"questions about differences are expected from {known}")
    counted = f"as in {rates.measured} finished calls" if rates.measured else "by rule of thumb"
    parts.append(f"{rates.chars_per_token:.1f} characters are a token, {counted}")
    return "; ".join(parts) + ". Repairs, repeated tries and prompt caching are left out."


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
