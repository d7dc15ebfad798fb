"""Does an app that starts with nothing learn what pleases its users, and notice when that changes?

Run: python -m benchmarks.living_app [--seeds 10] [--tangled] [--out docs/pictures] [--json]

An app, a chat model wrapped by the middleware, talks to simulated users of two groups who come
back over simulated days (`gpa_agent.testing.living_world`). The workspace is empty at first, three
users in ten are held out, and what waits is worked off every fifty turns. After a thousand turns
the tastes of the two groups are exchanged; two thousand turns more. Everything is simulated,
users and model: the figures say that the loop closes, and nothing about people.

Asked: is the satisfaction of those who get tailored answers above that of the held-out within a
thousand turns, with an interval that may be looked at any time and excludes 0? And does the rubric
follow the flip within two thousand: what is wrong by then retired, its opposite live, the lift
positive again?

Predicted before the first run (medians of ten seeds): the first item is live after 350 turns; at
turn 1,000 the tailored are pleased by 0.72 of their answers and the held-out by 0.55, and the
interval excludes 0 in 8 of 10; after the flip the tailored fall to 0.10 below the held-out; the
last wrong item goes 700 turns after the flip, the first right one comes 1,000 after it, and in the
last 500 turns the tailored are ahead by 0.10, in 8 of 10.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.cli.answering import Talk
from gpa_agent.conversations.records import Judgment
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.lift import Lift, lift
from gpa_agent.ledger import Ledger
from gpa_agent.settings_file import load_settings, people_key
from gpa_agent.testing.chat_world import TAXONOMY, ChatWorld, Tastes
from gpa_agent.testing.living_world import LivingWorld, SimulatedClock, Visit
from gpa_agent.testing.tailoring_model import TailoringChatModel, read_guidance

TASTES: Tastes = {
    "novice": {"debugging": {"warmth": 1.2, "questions_back": -1.2}},
    "expert": {"debugging": {"warmth": -1.2, "questions_back": 1.2}},
}
"""Groups that differ starkly in two respects of one intent: a thousand turns are not many."""
TANGLED: Tastes = {
    "novice": {"debugging": {"steps": 1.2, "jargon": -1.2}},
    "expert": {"debugging": {"steps": -1.2, "jargon": 1.2}},
}
"""As stark, but each goes along with other traits (steps with imperatives, jargon with a rich
vocabulary), which stand in for it or hide it."""
INTENTS = ("debugging",)
BLUE, GREY, ORANGE = "#2b6cb0", "#a0aec0", "#dd6b20"
SIMULATED = "simulated users, simulated model"
RECENT = 1000
"""Turns at the end that the audit is asked about: fixed beforehand."""


class Served(NamedTuple):
    """One turn, as it went.

    Attributes:
        tailored: Whether its person is not held out.
        guided: Whether guidance was in the prompt.
        satisfaction: Probability in (0, 1) that the answer pleased.
    """

    tailored: bool
    guided: bool
    satisfaction: float


class Standing(NamedTuple):
    """What is live at a moment, against the tastes of that moment.

    Attributes:
        turn: Turns served so far.
        versions: Rubric versions ever made.
        right: Pieces of guidance that ask for what their group wants more of now.
        wrong: Pieces that ask for its opposite.
    """

    turn: int
    versions: int
    right: int
    wrong: int


@dataclass(kw_only=True)
class Life:
    """One app's history."""

    turns: list[Served] = field(default_factory=list[Served])
    standing: list[Standing] = field(default_factory=list[Standing])
    lift: dict[int, Lift] = field(default_factory=dict[int, Lift])
    """What the audit reads of all turns so far, by turn."""
    times: list[datetime] = field(default_factory=list[datetime])
    """Simulated time of each look."""
    recent: Lift | None = None
    """What the audit reads of the last `RECENT` turns, at the end."""

    def pleased(self, first: int, last: int, *, tailored: bool) -> float:
        """Mean satisfaction of one arm over some turns; NaN where it has none."""
        found = [t.satisfaction for t in self.turns[first:last] if t.tailored == tailored]
        return fmean(found) if found else float("nan")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is simulated."""

    tastes: Tastes = field(default_factory=lambda: TASTES)
    """What pleases whom before the flip."""
    people: int = 100
    """People per group."""
    before: int = 1000
    """Turns before the tastes flip."""
    after: int = 2000
    """Turns after it."""
    every: int = 50
    """Turns between two times that the waiting events are worked off."""
    holdout: float = 0.3
    """Share of people who get the plain answer."""
    visits_a_day: float = 10.0
    """Conversations per simulated day, of two to four answers: 3,000 turns are a hundred days."""
    settings: Mapping[str, Any] = field(
        default_factory=lambda: {"permutations": 9999, "bootstrap": 200}
    )
    """Further settings of the workspace."""


def live(folder: Path, plan: Plan, seed: int, *, say: Callable[[str], None] | None = None) -> Life:
    """Simulate one app from empty.

    Args:
        folder: Where its workspace goes.
        plan: What is simulated.
        seed: Everything follows from it.
        say: Told how things stand, each time the waiting events are worked off.
    """
    people = ChatWorld(tastes=plan.tastes, intents=INTENTS, people=plan.people, seed=seed)
    world = LivingWorld(world=people, visits_a_day=plan.visits_a_day)
    clock, life, number = SimulatedClock(), Life(), 0
    with open_workspace(folder, clock, plan) as ws:
        graph: Any = GPAMiddleware(ws, learn="off").wrap(TailoringChatModel())
        while len(life.turns) < plan.before + plan.after:
            now = world if len(life.turns) < plan.before else world.flipped()
            for served in visited(ws, graph, clock, next(now.visits(first=number))):
                life.turns.append(served)
                if len(life.turns) % plan.every == 0:
                    look(ws, clock, now, life)
                    if say:
                        say(told(life))
            number += 1
        since = life.times[max(0, len(life.times) - 1 - RECENT // plan.every)]
        life.recent = lift(ws.ledger.outcomes(since=since))
    return life


def visited(
    ws: Workspace,
    graph: Any,  # noqa: ANN401 -- a compiled graph
    clock: SimulatedClock,
    visit: Visit,
) -> Iterator[Served]:
    """Let one user talk to the app, and give the last answer a thumb where they do that."""
    person = visit.person
    talk = Talk(graph, thread=visit.thread, user=person.id, group=person.group, intent=visit.intent)
    traces: list[Any] = []

    def answer(said: str) -> str:
        clock.advance(timedelta(minutes=1))
        answered = talk.say(said)
        traces.append(answered.trace)
        return answered.text

    clock.advance(visit.at - clock())
    judgment = Judgment.NEITHER
    for turn in visit.talk(answer):
        trace, judgment = traces[-1], turn.judgment
        if trace["degraded"]:
            raise RuntimeError(f"a turn degraded: {trace['degraded']}")
        yield Served(trace["arm"] != "holdout", bool(trace["aspects"]), turn.satisfaction)
    if visit.thumb:
        ws.feedback(conversation=visit.thread, turn=len(traces) - 1, judgment=judgment)


def open_workspace(folder: Path, clock: SimulatedClock, plan: Plan) -> Workspace:
    """An empty workspace that lives in simulated time."""
    given: dict[str, Any] = {
        "groups": ("novice", "expert"),
        "intents": {name: {"description": TAXONOMY[name]} for name in INTENTS},
        "holdout": plan.holdout,
        "budget_seconds": 10.0,  # what is late on a busy machine is measured elsewhere
        **plan.settings,
    }
    settings = load_settings(folder, given, create=True)
    ledger = Ledger.open(folder / "ledger.sqlite", people_key=people_key(folder), clock=clock)
    return Workspace(folder, settings, ledger, HashingEncoder())


def look(ws: Workspace, clock: SimulatedClock, now: LivingWorld, life: Life) -> None:
    """Work off what waits, and write down what is live and how the arms compare."""
    ws.catch_up()
    turn = len(life.turns)
    right = wrong = 0
    for rubric in ws.export_rubrics():
        for aspect in rubric.aspects:
            for group, text in aspect.guidance.items():
                tastes = now.world.tastes[group][rubric.intent]
                for feature, more in read_guidance([f"- {text}"]).items():
                    right += tastes.get(feature, 0.0) * (1 if more else -1) > 0
                    wrong += tastes.get(feature, 0.0) * (1 if more else -1) < 0
    versions = sum(rubric.version for rubric in ws.rubrics())
    life.standing.append(Standing(turn, versions, right, wrong))
    life.lift[turn] = lift(ws.ledger.outcomes())
    life.times.append(clock())


def told(life: Life) -> str:
    """How things stand, in a line."""
    at = life.standing[-1]
    seen = life.lift[at.turn]
    arms = [life.pleased(at.turn - 300, at.turn, tailored=t) for t in (True, False)]
    return (
        f"turn {at.turn}: versions {at.versions}, right {at.right}, wrong {at.wrong}; pleased "
        f"{arms[0]:.2f} against {arms[1]:.2f}; lift "
        + (seen.untold or "{:+.2f} [{:+.2f}, {:+.2f}]".format(*_read(seen)))
    )


class Outcome(NamedTuple):
    """How one app fared.

    Attributes:
        first: Turns until something was live; None if nothing ever was.
        ahead: Turns until the audit's interval lay above 0; None if not before the flip.
        lift: The audit's lift at the flip, and its interval.
        pleased: Mean satisfaction of tailored and held-out in the last 300 turns before the flip.
        harmed: Lowest difference of the arms in any 300 turns after the flip.
        gone: Turns after the flip until nothing wrong was live any more; None if never.
        opposite: Turns after the flip until something right was live; None if never.
        again: Mean satisfaction of tailored and held-out in the last 500 turns.
        recent: The audit's lift over the last `RECENT` turns, and its interval.
        versions: Rubric versions in all.
    """

    first: int | None
    ahead: int | None
    lift: tuple[float, float, float]
    pleased: tuple[float, float]
    harmed: float
    gone: int | None
    opposite: int | None
    again: tuple[float, float]
    recent: tuple[float, float, float]
    versions: int


def outcome(life: Life, plan: Plan) -> Outcome:
    """Read the figures from a history."""
    before = [s for s in life.standing if s.turn <= plan.before]
    after = [s for s in life.standing if s.turn > plan.before]
    end, at_flip = plan.before + plan.after, life.lift.get(before[-1].turn)
    windows = range(plan.before + 300, end + 1, plan.every)
    # Nothing wrong from then on: an item that comes back is not gone.
    last_wrong = max((s.turn for s in after if s.wrong), default=plan.before)
    return Outcome(
        first=next((s.turn for s in before if s.right), None),
        ahead=next((s.turn for s in before if _above(life.lift.get(s.turn))), None),
        lift=_read(at_flip),
        pleased=_arms(life, max(0, plan.before - 300), plan.before),
        harmed=min((a - b for a, b in (_arms(life, w - 300, w) for w in windows)), default=0.0),
        gone=last_wrong + plan.every - plan.before if last_wrong < end else None,
        opposite=next((s.turn - plan.before for s in after if s.right), None),
        again=_arms(life, max(plan.before, end - 500), end),
        recent=_read(life.recent),
        versions=life.standing[-1].versions,
    )


def _read(found: Lift | None) -> tuple[float, float, float]:
    """A lift and its interval; the widest there is where nothing can be told."""
    if found is None or found.lift is None or found.interval is None:
        return 0.0, -1.0, 1.0
    return found.lift, *found.interval


def _arms(life: Life, first: int, last: int) -> tuple[float, float]:
    return life.pleased(first, last, tailored=True), life.pleased(first, last, tailored=False)


def _above(found: Lift | None) -> bool:
    return _read(found)[1] > 0


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Medians over seeds, and in how many each thing that was asked is so."""

    def middle(values: list[int | None]) -> float | None:
        known = sorted(float("inf") if v is None else v for v in values)
        found = median(known)
        return None if found == float("inf") else found

    return {
        "seeds": len(outcomes),
        "interval above 0 before the flip": sum(o.ahead is not None for o in outcomes),
        "interval above 0 at the flip": sum(o.lift[1] > 0 for o in outcomes),
        "wrong items gone": sum(o.gone is not None for o in outcomes),
        "opposite items live": sum(o.opposite is not None for o in outcomes),
        "ahead again at the end": sum(o.again[0] > o.again[1] for o in outcomes),
        "interval of the last turns above 0": sum(o.recent[1] > 0 for o in outcomes),
        "first right item (turn)": middle([o.first for o in outcomes]),
        "interval above 0 (turn)": middle([o.ahead for o in outcomes]),
        "lift at the flip": median(o.lift[0] for o in outcomes),
        "tailored, before the flip": median(o.pleased[0] for o in outcomes),
        "held out, before the flip": median(o.pleased[1] for o in outcomes),
        "worst 300 turns after the flip": median(o.harmed for o in outcomes),
        "wrong items gone (turns after)": middle([o.gone for o in outcomes]),
        "opposite live (turns after)": middle([o.opposite for o in outcomes]),
        "tailored, last 500 turns": median(o.again[0] for o in outcomes),
        "held out, last 500 turns": median(o.again[1] for o in outcomes),
        "lift over the last turns": median(o.recent[0] for o in outcomes),
        "versions": median(o.versions for o in outcomes),
    }


def rolling(lives: Sequence[Life], *, tailored: bool, window: int = 200) -> np.ndarray[Any, Any]:
    """Mean satisfaction over the turns before each turn: one row per app."""
    length = min(len(life.turns) for life in lives)
    ends = range(window, length + 1, 25)
    return np.array(
        [[life.pleased(end - window, end, tailored=tailored) for end in ends] for life in lives]
    )


def draw(lives: Sequence[Life], plan: Plan, path: Path) -> None:
    """Satisfaction of both arms, and what is live, over turns."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.0, 6.0), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    length, window = min(len(life.turns) for life in lives), 200
    turns = np.arange(window, length + 1, 25)
    for tailored, colour, name in ((True, BLUE, "tailored"), (False, GREY, "held out")):
        found = rolling(lives, tailored=tailored, window=window)
        above.plot(turns, np.nanmean(found, axis=0), color=colour, label=name)
        low, high = np.nanpercentile(found, [10, 90], axis=0)
        above.fill_between(turns, low, high, color=colour, alpha=0.2, linewidth=0)
    above.set_ylabel(f"satisfaction, last {window} turns")
    above.set_title(
        f"An app that starts empty, and tastes that flip at turn {plan.before}\n"
        f"{SIMULATED}, {len(lives)} runs: mean and 80% of them",
        fontsize=10,
    )
    marks = [standing.turn for standing in lives[0].standing]
    for what, colour, name in (
        ("right", BLUE, "what their group wants now"),
        ("wrong", ORANGE, "the opposite"),
    ):
        mean = np.mean([[getattr(s, what) for s in life.standing] for life in lives], axis=0)
        below.step(marks, mean, where="post", color=colour, label=name)
    below.set_ylabel("guidance live, asking for")
    below.set_xlabel("turns served")
    for axes in (above, below):
        axes.axvline(plan.before, color="black", linewidth=0.8, linestyle=":")
        axes.legend(frameon=False, loc="upper right", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tangled", action="store_true", help="tastes that others go along with")
    parser.add_argument("--out", type=Path, help="folder of the picture; none is drawn without")
    parser.add_argument("--quick", action="store_true", help="two short lives, to see it run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    tastes = TANGLED if options.tangled else TASTES
    plan = Plan(tastes=tastes)
    if options.quick:
        plan = replace(plan, before=200, after=200)
    seeds = range(options.first_seed, options.first_seed + (2 if options.quick else options.seeds))
    started, lives = time.perf_counter(), list[Life]()
    console = Console(stderr=True)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            lives.append(live(Path(scratch) / "app", plan, seed))
        console.print(f"seed {seed}: {told(lives[-1])}", markup=False, highlight=False)
    outcomes = [outcome(one, plan) for one in lives]
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(lives, plan, options.out / "living.png")
    found = summary(outcomes)
    if options.json:
        print(json.dumps({"summary": found, "apps": [o._asdict() for o in outcomes]}))
        return
    table = Table(title=f"{SIMULATED}; {time.perf_counter() - started:.0f} s")
    for column in ("what", "medians, or how many of the seeds"):
        table.add_column(column)
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
