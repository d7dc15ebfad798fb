"""What two sides want differently, found by a model: Algorithm 1's second step as a flow.

Preferences that two sides voiced about one intent are dealt into minibatches; a model contrasts
one minibatch of each side at a time and returns the aspects in which the sides differ, rated from
1 to 5 (Group Preference Alignment, arXiv 2503.08035, Algorithm 1, lines 14-27; Table 13). Which
of the aspects are kept (lines 28-31) is decided later, on evidence.

Where this departs from the paper:

- Minibatches hold as equal a number as possible, at most m: otherwise one left-over preference
  would have the last word on the whole list.
- The paper pairs minibatches without saying how; here the i-th meets the i-th, and the shorter
  side's are used again in turn, or every pair is asked.
- Long folds are trees: minibatches are contrasted side by side and their lists merged four by
  four, so that time grows with the logarithm of their number, and a late round cannot undo early
  ones.
- What the model names as evidence is kept: each aspect knows the preferences that voice it.

The sides are never named: the model sees a first and a second one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice, pairwise, product
from typing import Final, Literal, NamedTuple, cast

from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.errors import UsageError
from gpa_agent.prompts import AspectItem, AspectsAnswer, Numbered, aspects_ask, merge_ask
from gpa_agent.prompts.asking import Ask

_MERGED: Final = 4
"""Most lists in one merge. Merges wait for one another, so that two by two a fold of a dozen
minibatches would wait four times where this waits twice; more would make a long question of
lists of up to twelve aspects."""

_SHOWN_VOICES: Final = 5
"""Numbers an aspect has on each side in a merge: five tell many voices from few, and an answer
that repeats them stays short."""


@dataclass(frozen=True, order=True, slots=True)
class Voiced:
    """A preference that somebody voiced, or one that stands for several alike."""

    id: str
    """Its id; never shown to a model."""
    person: str
    """Who voiced it."""
    pleased: bool
    """Whether the answer it is about pleased."""
    expectation: str
    """How they wanted to be answered."""
    reason: str
    """What pleased or displeased them."""
    count: int = 1
    """How many preferences it stands for, itself among them."""
    members: tuple[str, ...] = ()
    """Their ids; empty where it stands for itself alone."""


@dataclass(frozen=True, kw_only=True)
class FoldConfig:
    """How a fold goes.

    The paper names a minibatch size m without its value, and folds in a chain.

    Raises:
        UsageError: A value is outside its range.
    """

    minibatch_size: int = 20
    """Most preferences of a side in one round (m); at least 1."""
    pairing: Literal["zip", "cross"] = "zip"
    """``zip``: i-th minibatch with i-th, as many rounds as the longer side has minibatches;
    ``cross``: every pair, as many rounds as the product."""
    shape: Literal["chain", "tree", "auto"] = "auto"
    """``chain``: each round is shown the list of the one before (the paper's); ``tree``: rounds
    side by side, then merges; ``auto``: a tree from ``tree_from`` rounds on."""
    tree_from: int = 4
    """Rounds from which ``auto`` is a tree; at least 2."""
    order: int = 0
    """Which shuffle of the preferences; the same for the same ids, whatever order they come in."""

    def __post_init__(self) -> None:
        for name, least in (("minibatch_size", 1), ("tree_from", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}, not {getattr(self, name)!r}")
        for name, known in (("pairing", ("zip", "cross")), ("shape", ("chain", "tree", "auto"))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is one of {known!r}, not {getattr(self, name)!r}")


class Voices(NamedTuple):
    """Ids of the preferences that voice an aspect, in the order they were named.

    Attributes:
        first: Of the first side.
        second: Of the second side.
    """

    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What came of a fold."""

    aspects: tuple[AspectItem, ...]
    """The last list, without numbers: those were a round's own."""
    rounds: int
    """Pairs of minibatches that were contrasted."""
    depth: int
    """Questions that had to wait for one another; the time a fold takes is this many answers."""
    failed: int
    """Questions, merges among them, without a usable answer."""
    hallucinated: int
    """Numbers the model named that were not there, or on the other side."""
    voiced: Mapping[str, Voices]
    """Who voices each aspect, by its name."""


class _Round(NamedTuple):
    first: tuple[Voiced, ...]
    second: tuple[Voiced, ...]


class _Found(NamedTuple):
    """A list of aspects, and who voices what by folded name."""

    aspects: tuple[AspectItem, ...]
    voices: Mapping[str, Voices]


@dataclass
class _Tally:
    depth: int = 0
    failed: int = 0
    hallucinated: int = 0


@dataclass(frozen=True)
class _Key:
    """What the numbers of one question stand for, on each side."""

    first: dict[int, Voices] = field(default_factory=dict[int, Voices])
    second: dict[int, Voices] = field(default_factory=dict[int, Voices])


def fold(
    first: Sequence[Voiced],
    second: Sequence[Voiced],
    config: FoldConfig,
    aspects: Sequence[AspectItem] = (),
) -> Flow[Folded]:
    """Find the aspects in which two sides differ; a flow for any engine.

    Every preference is in at least one round. A question without a usable answer leaves the
    aspects as they were and is counted; a merge without one keeps all its lists.

    To refine what was found before with what has come since, call it with the new preferences
    and the ``aspects`` of before: a chain starts from them, a tree merges them in as one more list.

    Args:
        first: What the first side voiced; near-duplicates may be merged.
        second: What the second side voiced; for a group against the population, what everybody
            else did.
        config: How the fold goes.
        aspects: Aspects to start from.

    Returns:
        The aspects. Where a side voiced nothing there is nothing to contrast: no round is asked,
        and the aspects are those it started from.
    """
    rounds, tally = _rounds(first, second, config), _Tally()
    start = _Found(tuple(map(_without_numbers, aspects)), {})
    tree = config.shape == "tree" or (config.shape == "auto" and len(rounds) >= config.tree_from)
    found = start
    if rounds:
        found = yield from (_tree if tree else _chain)(rounds, start, tally)
    return Folded(
        aspects=found.aspects,
        rounds=len(rounds),
        depth=tally.depth,
        failed=tally.failed,
        hallucinated=tally.hallucinated,
        voiced={a.name: found.voices.get(_folded(a.name), Voices()) for a in found.aspects},
    )


def _chain(rounds: Sequence[_Round], start: _Found, tally: _Tally) -> Flow[_Found]:
    found = start
    for one in rounds:
        tally.depth += 1
        answers = yield [_round_ask(one, found.aspects)]
        said = _read(answers[0], _key_of(one), tally)
        if said is not None:
            found = _Found(said.aspects, _together(found.voices, said.voices))
    return found


def _tree(rounds: Sequence[_Round], start: _Found, tally: _Tally) -> Flow[_Found]:
    tally.depth += 1
    answers = yield [_round_ask(one, ()) for one in rounds]
    read = [_read(a, _key_of(one), tally) for one, a in zip(rounds, answers, strict=True)]
    lists = _with_aspects([start, *(said for said in read if said is not None)])
    while len(lists) > 1:
        tally.depth += 1
        groups = [lists[at : at + _MERGED] for at in range(0, len(lists), _MERGED)]
        alone = groups.pop() if len(groups[-1]) == 1 else []
        numbered = [_numbered_lists(group) for group in groups]
        answers = yield [merge_ask(*shown) for shown, _ in numbered]
        merged = [
            _merged(group, _read(a, key, tally))
            for group, (_, key), a in zip(groups, numbered, answers, strict=True)
        ]
        lists = _with_aspects([*merged, *alone])
    return lists[0] if lists else _Found((), {})


def _rounds(first: Sequence[Voiced], second: Sequence[Voiced], config: FoldConfig) -> list[_Round]:
    ones, others = _minibatches(first, config), _minibatches(second, config)
    if not (ones and others):
        return []
    if config.pairing == "cross":
        return [_Round(one, other) for one, other in product(ones, others)]
    return [
        _Round(ones[n % len(ones)], others[n % len(others)])
        for n in range(max(len(ones), len(others)))
    ]


def _minibatches(side: Sequence[Voiced], config: FoldConfig) -> list[tuple[Voiced, ...]]:
    shuffled = sorted(side, key=lambda one: (_shuffle(one.id, config.order), one))
    batches = math.ceil(len(side) / config.minibatch_size)
    bounds = [len(side) * n // batches for n in range(batches + 1)] if side else []
    return [tuple(shuffled[a:b]) for a, b in pairwise(bounds)]


def _shuffle(name: str, order: int) -> bytes:
    return hashlib.sha256(f"{order}\x1f{name}".encode()).digest()


def _round_ask(one: _Round, aspects: Sequence[AspectItem]) -> Ask:
    """Numbers run on from the first side to the second, so that a wrong side can be told."""
    shown = [
        Numbered(number, v.pleased, v.expectation, v.reason, v.count)
        for number, v in enumerate((*one.first, *one.second), start=1)
    ]
    return aspects_ask(shown[: len(one.first)], shown[len(one.first) :], aspects)


def _key_of(one: _Round) -> _Key:
    key = _Key()
    for number, voiced in enumerate(one.first, start=1):
        key.first[number] = Voices(first=_ids(voiced))
    for number, voiced in enumerate(one.second, start=len(one.first) + 1):
        key.second[number] = Voices(second=_ids(voiced))
    return key


def _ids(voiced: Voiced) -> tuple[str, ...]:
    return voiced.members or (voiced.id,)


def _numbered_lists(lists: Sequence[_Found]) -> tuple[list[list[AspectItem]], _Key]:
    """Lists to merge: each aspect with numbers of its own, which an answer passes on.

    A number stands for its aspect and everybody who voices it, so that merged aspects inherit
    by what they were made of, whatever they are called.
    """
    key, counter, numbered = _Key(), count(1), list[list[AspectItem]]()
    for found in lists:
        shown = list[AspectItem]()
        for aspect in found.aspects:
            voices = found.voices.get(_folded(aspect.name), Voices())
            first, second = (list(islice(counter, min(len(i), _SHOWN_VOICES))) for i in voices)
            key.first.update(dict.fromkeys(first, voices))
            key.second.update(dict.fromkeys(second, voices))
            shown.append(aspect.model_copy(update={"first": first, "second": second}))
        numbered.append(shown)
    return numbered, key


def _merged(lists: Sequence[_Found], said: _Found | None) -> _Found:
    """What a merge says, or its lists as they are; same names inherit without being named."""
    before = _together(*(found.voices for found in lists))
    if said is not None:
        return _Found(said.aspects, _together(before, said.voices))
    kept = dict[str, AspectItem]()
    aspects = chain.from_iterable(found.aspects for found in lists)
    for aspect in sorted(aspects, key=lambda a: -a.rating):
        kept.setdefault(_folded(aspect.name), aspect)
    return _Found(tuple(kept.values()), before)


def _read(answered: Answered, key: _Key, tally: _Tally) -> _Found | None:
    """The list of an answer, and who voices what as its numbers say; None where there is none."""
    if answered.value is None:
        tally.failed += 1
        return None
    aspects = cast("AspectsAnswer", answered.value).aspects
    voices = dict[str, Voices]()
    for aspect in aspects:
        named = [(key.first, n) for n in aspect.first] + [(key.second, n) for n in aspect.second]
        meant = [known[n] for known, n in named if n in known]
        tally.hallucinated += len(named) - len(meant)
        voices[_folded(aspect.name)] = _union(meant)
    return _Found(tuple(map(_without_numbers, aspects)), voices)


def _together(*found: Mapping[str, Voices]) -> dict[str, Voices]:
    names = dict.fromkeys(name for voices in found for name in voices)
    return {name: _union([v[name] for v in found if name in v]) for name in names}


def _union(voices: Iterable[Voices]) -> Voices:
    known = list(voices)
    return Voices(
        tuple(dict.fromkeys(i for v in known for i in v.first)),
        tuple(dict.fromkeys(i for v in known for i in v.second)),
    )


def _with_aspects(lists: Iterable[_Found]) -> list[_Found]:
    return [found for found in lists if found.aspects]


def _without_numbers(aspect: AspectItem) -> AspectItem:
    return aspect.model_copy(update={"first": [], "second": []})


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
