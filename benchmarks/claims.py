"""What a model claims about two groups: how much of the truth is served, and how much that is not?

Run: python -m benchmarks.claims [--seeds 20] [--null-runs 50] [--quick] [--json]

Simulated users who say what they want (`gpa_agent.testing.voiced_world`), read by a simulated model
(`gpa_agent.testing.simulated_provider`), so the truth is known: recall of the planted wishes among
what is live, and the share of live items that are wrong. An item is right where its wish is
planted in that intent and each group's guidance points the way of that group's taste. Beside ours,
in the same run on the same readings: the paper's fold (chain, zip, no merging) over everybody, kept
by its rating above 2 alone, without any test. Then worlds without a difference, and worlds whose
people are dealt to the groups at random. Last, each change to the fold against the plain one.

Noise is the share of the simulated model's readings that go wrong, and as often it invents. These
figures say how the method behaves on simulations; they are no result about people or models.

Predicted before the first run: 100 people a group without noise 0.95 / 0.02 (recall / false), with
noise 0.1 0.88 / 0.03, with 0.2 0.70 / 0.05; 60 people 0.80 / 0.02; 200 people 1.00 / 0.03. Null
worlds and shuffles with anything live: 3 of 50 each. Rating alone: recall 0.95 and 0.25 false,
something live in every null world. Merging: a third fewer tokens, Jaccard 0.9; tree 0.9, cross
0.85, orders 0.85.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from gpa_agent import Workspace
from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.cases import Heard, Sided, deal_groups, hear, sided
from gpa_agent.learning.embedded import contrast_config, gate_config
from gpa_agent.learning.kept_claims import hearing_of
from gpa_agent.learning.model_labels import LabelSink, label_asks, versions_of
from gpa_agent.learning.model_preferences import explain_with_model, preference_source
from gpa_agent.prompts import load, read_answer
from gpa_agent.prompts.asking import Ask
from gpa_agent.rubrics.claim_evidence import weigh_claims
from gpa_agent.rubrics.claims import Case, Claimed, claim
from gpa_agent.rubrics.fold import FoldConfig, Folded, Voiced, fold
from gpa_agent.rubrics.merging import merge_near_duplicates
from gpa_agent.rubrics.records import Contrast, Rubric
from gpa_agent.settings import Settings
from gpa_agent.testing.completions import count_tokens, prompt_tokens
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.simulated_provider import SimulatedProvider
from gpa_agent.testing.voiced_world import VoicedWorld
from gpa_agent.testing.wishes import read_wishes
from gpa_agent.testing.world_logs import write_log

R = TypeVar("R")

PEOPLE = (60, 100, 200)
NOISE = (0.0, 0.1, 0.2)
DEFAULT = 100
"""People per group to which the promises hold."""
PROMISE = (
    "recall >= 0.85 and false <= 0.10 at 100 people a group; null runs with anything live <= 10%"
)
PLAIN = FoldConfig(shape="chain")
"""The paper's fold."""


class Served(NamedTuple):
    """An item as it would be served: the intent, and what to do for each group."""

    intent: str
    guidance: Mapping[str, str]


class Score(NamedTuple):
    """One world."""

    recall: float
    false: float
    live: int


@dataclass
class InThread:
    """Asks the simulated model in this thread, one question after the other, and counts."""

    provider: SimulatedProvider
    name: str = "in this thread"
    calls: int = 0
    tokens: int = 0
    depth: int = 0
    """Most questions of one flow that had to wait for one another."""

    def map(self, asks: Iterable[Ask]) -> Iterator[Answered]:
        """Answer questions in their order."""
        return map(self._answer, asks)

    def drive(self, flows: Sequence[Flow[R]]) -> list[R]:
        """Run flows one after the other."""
        return [self._through(flow) for flow in flows]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def _through(self, flow: Flow[R]) -> R:
        answers: list[Answered] | None = None
        for depth in itertools.count():
            try:
                asks = next(flow) if answers is None else flow.send(answers)
            except StopIteration as end:
                self.depth = max(self.depth, depth)
                result: R = end.value
                return result
            answers = [self._answer(ask) for ask in asks]
        raise AssertionError

    def _answer(self, ask: Ask) -> Answered:
        said = [("system", ask.system), ("user", ask.data)]
        text = self.provider.answer(said)
        self.calls += 1
        self.tokens += prompt_tokens(said) + count_tokens(text)
        return Answered(ask, read_answer(load(ask.prompt), text))


def simulated(noise: float) -> SimulatedProvider:
    """A model that misreads that share, and invents as often."""
    return SimulatedProvider(noise=noise, invent=noise)


def settings_of(world: VoicedWorld) -> Settings:
    """The defaults, for a world's groups."""
    return Settings(groups=world.groups)


def read(world: VoicedWorld, provider: SimulatedProvider) -> Heard:
    """A world's log, judged and explained by the simulated model."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(world, Path(folder) / "log.jsonl")
        with Workspace.open(
            Path(folder) / "ws.gpa",
            groups=world.groups,
            model=SimulatedChatModel(provider=provider),
            encoder=HashingEncoder(),
        ) as ws:
            ws.ingest(Path(folder) / "log.jsonl")
            return _judged(ws, provider)


def _judged(ws: Workspace, provider: SimulatedProvider) -> Heard:
    engine, model = InThread(provider), str(ws.settings.model)
    versions, source = versions_of(model, ws.settings), preference_source(model)
    sink = LabelSink(ws.ledger, ws.settings, versions, source=model)
    for answered in engine.map(label_asks(ws.ledger, ws.settings, versions, sampled=None)):
        sink.add(answered)
    sink.flush()
    explain_with_model(ws.ledger, engine, source, lambda *_: None)
    return hear(ws.ledger, source, one_intent=False, share=ws.settings.discovery)


def ours(
    heard: Heard,
    world: VoicedWorld,
    engine: InThread,
    *,
    fold: FoldConfig | None = None,
    merge: bool = True,
) -> list[Served]:
    """What would be live: claims found on half of the people, tested on the others."""
    contrasts = [Contrast(*world.groups)]
    parts = list(sided(heard, contrasts))
    settings = settings_of(world)
    config = fold or FoldConfig()
    claimed = engine.drive(
        [claim(_case(p, merge=merge), config, min_people=settings.min_people) for p in parts]
    )
    weighed = weigh_claims(
        [
            hearing_of(p, c.claims, c.problems, _voices(p, c))
            for p, c in zip(parts, claimed, strict=True)
        ],
        contrasts,
        contrast_config=contrast_config(settings),
        gate_config=gate_config(settings),
    )
    return served(weighed.rubrics)


def served(rubrics: Iterable[Rubric]) -> list[Served]:
    """What passed, of what was tested."""
    return [
        Served(r.intent, a.guidance)
        for r in rubrics
        for a in r.aspects
        if a.status in ("approved", "live")
    ]


def by_rating(heard: Heard, world: VoicedWorld, engine: InThread) -> list[Served]:
    """The paper's reading: found on everybody, kept by its rating above 2, tested on nobody."""
    threshold = settings_of(world).rating_threshold
    kept: list[Served] = []
    for part in sided(heard, [Contrast(*world.groups)]):
        sides = (list(part.first), list(part.other))
        for turn, on_first in zip(part.testing, part.on_first, strict=True):
            sides[0 if on_first else 1].append(turn.voiced)
        folded: Folded = engine.drive([fold(*sides, PLAIN)])[0]
        for aspect in folded.aspects:
            words = zip(world.groups, (aspect.first_wants, aspect.second_wants), strict=True)
            if aspect.rating > threshold:
                kept.append(Served(part.intent, {group: said for group, said in words if said}))
    return kept


def _case(part: Sided, *, merge: bool) -> Case:
    first, other = (_merged(s) if merge else tuple(s) for s in (part.first, part.other))
    heard = tuple(t.voiced for t in part.testing)
    return Case(
        intent=part.intent,
        contrast=part.contrast,
        first=first,
        other=other,
        heard=heard,
        people={v.id: v.person for v in (*part.first, *part.other)},
    )


def _merged(side: Sequence[Voiced]) -> tuple[Voiced, ...]:
    texts = [f"{v.expectation}; {v.reason}" for v in side]
    return tuple(merge_near_duplicates(side, HashingEncoder().encode(texts))) if side else ()


def _voices(part: Sided, claimed: Claimed) -> dict[str, Any]:
    return dict(zip((t.input_id for t in part.testing), claimed.wishes, strict=True))


def is_right(item: Served, world: VoicedWorld, intent: str | None = None) -> bool:
    """Whether an item is planted in an intent, and each group is told what it likes there."""
    intent = intent or item.intent
    planted = world.planted(intent, *world.groups)
    said = [(g, v) for g, words in item.guidance.items() for v in read_wishes(words)]
    return bool(said) and all(
        v.wish in planted and (world.tastes[g][intent][v.wish] > 0) == v.wanted for g, v in said
    )


def score(items: Sequence[Served], world: VoicedWorld) -> Score:
    """Items against what was planted."""
    right = [item for item in items if is_right(item, world)]
    found = {(item.intent, wish) for item in right for wish in wishes_of(item)}
    planted = sum(len(world.planted(intent, *world.groups)) for intent in world.intents)
    return Score(
        len(found) / planted if planted else 1.0,
        1 - len(right) / len(items) if items else 0.0,
        len(items),
    )


def wishes_of(item: Served) -> set[str]:
    """The wishes an item speaks of, whichever words it has for them."""
    return {v.wish for words in item.guidance.values() for v in read_wishes(words)}


def jaccard(ones: Sequence[Served], others: Sequence[Served]) -> float:
    """Agreement of two lists of items by intent, wish and which group wants it; 1 if both empty."""
    a, b = _what(ones), _what(others)
    return len(a & b) / len(a | b) if a | b else 1.0


def _what(items: Iterable[Served]) -> set[tuple[str, str, bool]]:
    """Intent, wish, and whether it is the first group that is said to want it more."""
    return {
        (item.intent, v.wish, (group == VoicedWorld.groups[0]) == v.wanted)
        for item in items
        for group, words in item.guidance.items()
        for v in read_wishes(words)
    }


@cache
def heard_of(seed: int, people: int = DEFAULT, noise: float = 0.0) -> Heard:
    """The reading of one planted world, made once."""
    return read(VoicedWorld(seed=seed, people=people), simulated(noise))


def grid(seeds: int, people: Sequence[int], noise: Sequence[float]) -> list[dict[str, Any]]:
    """Recall and false discoveries, ours beside the rating alone."""
    rows: list[dict[str, Any]] = []
    for n, wrong in itertools.product(people, noise):
        scores: dict[str, list[Score]] = {"ours": [], "rating alone": []}
        for seed in range(seeds):
            world, engine = VoicedWorld(seed=seed, people=n), InThread(simulated(wrong))
            heard = heard_of(seed, n, wrong)
            scores["ours"].append(score(ours(heard, world, engine), world))
            scores["rating alone"].append(score(by_rating(heard, world, engine), world))
        figures = {name: _summary(found) for name, found in scores.items()}
        rows.append({"people": n, "noise": wrong, **figures})
    return rows


def _summary(scores: Sequence[Score]) -> dict[str, list[float]]:
    """Mean and standard error of each figure over seeds."""
    return {
        name: [statistics.mean(values), standard_error(values)]
        for name, values in zip(Score._fields, zip(*scores, strict=True), strict=True)
    }


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 for one value."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def nulls(runs: int, seeds: int, people: int) -> dict[str, dict[str, float]]:
    """Runs with anything live where nothing may be, and items live a run."""
    lists: dict[str, list[int]] = {}
    for run in range(runs):
        world = VoicedWorld(seed=1000 + run, people=people, null=True)
        dealt = deal_groups(
            heard_of(run % seeds, people), np.random.default_rng([run % seeds, run])
        )
        for kind, heard in (("null world", read(world, simulated(0.0))), ("shuffled", dealt)):
            engine = InThread(simulated(0.0))
            lists.setdefault(f"{kind}, ours", []).append(len(ours(heard, world, engine)))
            alone = by_rating(heard, world, engine)
            lists.setdefault(f"{kind}, rating alone", []).append(len(alone))
    return {
        name: {"runs": runs, "with anything live": sum(map(bool, n)), "items": statistics.mean(n)}
        for name, n in lists.items()
    }


def folds(seeds: int, people: int, *, many: int) -> list[dict[str, Any]]:
    """Each change to the fold against the plain one, on the same readings."""
    small = FoldConfig(shape="chain", minibatch_size=10)
    return [
        _against("merged near-duplicates", seeds, many, PLAIN, PLAIN, merge=True),
        _against("tree", seeds, many, PLAIN, FoldConfig(shape="tree")),
        _against(
            "every pair, minibatches of 10",
            seeds,
            people,
            small,
            FoldConfig(shape="chain", minibatch_size=10, pairing="cross"),
        ),
        _against("the default: merged, auto", seeds, many, PLAIN, FoldConfig(), merge=True),
    ]


def _against(
    name: str,
    seeds: int,
    people: int,
    plain: FoldConfig,
    other: FoldConfig,
    *,
    merge: bool = False,
) -> dict[str, Any]:
    cost: dict[str, list[tuple[int, int, int]]] = {"plain": [], "changed": []}
    agreed: list[float] = []
    recalls: dict[str, list[float]] = {"plain": [], "changed": []}
    for seed in range(seeds):
        world, heard = VoicedWorld(seed=seed, people=people), heard_of(seed, people)
        found: list[list[Served]] = []
        for which, config, merging in (("plain", plain, False), ("changed", other, merge)):
            engine = InThread(simulated(0.0))
            items = ours(heard, world, engine, fold=config, merge=merging)
            cost[which].append((engine.calls, engine.tokens, engine.depth))
            recalls[which].append(score(items, world).recall)
            found.append(items)
        agreed.append(jaccard(*found))
    return {
        "change": name,
        "people": people,
        "jaccard": [statistics.mean(agreed), standard_error(agreed)],
        **{
            f"{what} {which}": statistics.mean(column)
            for which, rows in cost.items()
            for what, column in zip(
                ("calls", "tokens", "depth"), zip(*rows, strict=True), strict=True
            )
        },
        **{f"recall {which}": statistics.mean(values) for which, values in recalls.items()},
    }


def orders(seeds: int, times: int, people: int) -> dict[str, float]:
    """Agreement of what is live between shuffles of the minibatches."""
    pairs: list[float] = []
    for seed in range(seeds):
        world, heard = VoicedWorld(seed=seed, people=people), heard_of(seed, people)
        lists = [
            ours(heard, world, InThread(simulated(0.0)), fold=FoldConfig(order=order))
            for order in range(times)
        ]
        pairs += [jaccard(a, b) for a, b in itertools.combinations(lists, 2)]
    return {"mean": statistics.mean(pairs), "least": min(pairs), "pairs": len(pairs)}


def agrees_with_the_product(people: int) -> bool:
    """Whether `Workspace.learn` on asyncio serves the very items that are scored here."""
    world = VoicedWorld(people=people)
    with tempfile.TemporaryDirectory() as folder:
        write_log(world, Path(folder) / "log.jsonl")
        with Workspace.open(
            Path(folder) / "ws.gpa",
            groups=world.groups,
            model=SimulatedChatModel(),
            encoder=HashingEncoder(),
        ) as ws:
            ws.ingest(Path(folder) / "log.jsonl")
            live = served(ws.learn().rubrics)
    scored = ours(heard_of(0, people), world, InThread(simulated(0.0)))
    return sorted(map(repr, live)) == sorted(map(repr, scored))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--null-runs", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="one seed of small worlds")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started, quick = time.perf_counter(), args.quick
    people = 30 if quick else DEFAULT
    seeds, some = (1, 1) if quick else (args.seeds, max(1, args.seeds // 4))
    figures: dict[str, Any] = {
        "same as the product": agrees_with_the_product(people),
        "grid": grid(seeds, [people] if quick else PEOPLE, NOISE[:2] if quick else NOISE),
        "nulls": nulls(1 if quick else args.null_runs, seeds, people),
        "folds": folds(some, people, many=people if quick else 4 * people),
        "orders": orders(some, 2 if quick else 5, people),
    }
    figures["seconds"] = time.perf_counter() - started
    if args.json:
        print(json.dumps(figures))
        return
    show(figures, seeds)


def show(figures: Mapping[str, Any], seeds: int) -> None:
    """Print the figures as tables."""
    console = Console()
    table = Table(title=f"Simulated users, simulated model; {seeds} seeds: recall / false (s.e.)")
    for column in ("people a group", "noise", "ours", "rating alone"):
        table.add_column(column)
    for row in figures["grid"]:
        cells = [_cell(row[name]) for name in ("ours", "rating alone")]
        table.add_row(str(row["people"]), str(row["noise"]), *cells)
    console.print(table, f"Promise: {PROMISE}.")
    for name, n in figures["nulls"].items():
        console.print(
            f"{name}: anything live in {n['with anything live']} of {n['runs']} runs, "
            f"{n['items']:.2f} items a run"
        )
    table = Table(title="Against the plain fold (chain, zip, unmerged): plain > changed")
    for column in ("change", "people", "calls", "tokens", "depth", "recall", "Jaccard of live"):
        table.add_column(column)
    for row in figures["folds"]:
        pairs = [
            f"{row[f'{what} plain']:{form}} > {row[f'{what} changed']:{form}}"
            for what, form in (
                ("calls", ",.0f"),
                ("tokens", ",.0f"),
                ("depth", ".1f"),
                ("recall", ".2f"),
            )
        ]
        jac, error = row["jaccard"]
        table.add_row(row["change"], str(row["people"]), *pairs, f"{jac:.2f} ({error:.2f})")
    console.print(table)
    shuffles = figures["orders"]
    console.print(
        f"Shuffled orders: Jaccard {shuffles['mean']:.2f}, least {shuffles['least']:.2f} of "
        f"{shuffles['pairs']} pairs. The product's own run serves the same items: "
        f"{figures['same as the product']}. {figures['seconds']:.0f} s in all."
    )


def _cell(figures: Mapping[str, Sequence[float]]) -> str:
    (recall, recall_error), (false, false_error) = figures["recall"], figures["false"]
    return f"{recall:.2f} ({recall_error:.2f}) / {false:.2f} ({false_error:.2f})"


if __name__ == "__main__":
    main()
