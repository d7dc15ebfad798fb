"""Do group models win for their own group and for no other, and which way of tuning does it best?

Run: python benchmarks/group_models.py [--seeds 3] [--methods dpo kto ...] [--flipped 0.3] [--json]

Everything is a miniature (`gpa_agent.testing.miniature`): for each seed a tiny base is trained
from scratch, the pairs are of two simulated groups, and every method tunes one adapter a group on
the same pairs, through the same gate. Then all answer the 72 held-out prompts three times each;
an incoherent answer loses. The adapters are looked at whether or not the gate lets them serve.
Which method comes first here says nothing of how they compare on people and large models.

Needs the extra: pip install 'gpa-agent[finetune]'. A seed takes about four minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, get_args

from rich.console import Console
from rich.table import Table

from gpa_agent.alignment.config import Method, TuningConfig
from gpa_agent.alignment.pair import folder_name, write_pairs
from gpa_agent.alignment.tuning.job import Folders
from gpa_agent.alignment.tuning.outcomes import Outcome
from gpa_agent.alignment.tuning.tuning import tune
from gpa_agent.testing.miniature.base import make_base
from gpa_agent.testing.miniature.checks import Tally
from gpa_agent.testing.miniature.domain import GROUPS
from gpa_agent.testing.miniature.preferences import pairs
from gpa_agent.testing.miniature.winning import BASE, beats, coherence, held_out_answers

METHODS: tuple[str, ...] = get_args(Method)
HELD_OUT = 100
RATE = {method: 1e-3 if method.startswith("kto") else 2e-3 for method in METHODS}
"""Learning rates that half a million parameters take without falling apart."""


class Figures(NamedTuple):
    """One adapter on the held-out prompts.

    Attributes:
        seed: Of base, pairs and training.
        method: How it was tuned.
        group: For whom.
        gate: ``served``, or ``refused`` with why.
        own: Against the base, by its own group's taste.
        other: The same by the other group's.
        coherent: Share of its answers that make sense.
        pairs: Trained on.
        seconds: Of training and gate.
    """

    seed: int
    method: str
    group: str
    gate: str
    own: Tally
    other: Tally
    coherent: float
    pairs: int
    seconds: float


class Duel(NamedTuple):
    """Two methods' adapters of one group and seed against each other.

    Attributes:
        seed: Of base, pairs and training.
        group: By whose taste.
        first: A method.
        second: Another.
        tally: What the first won, tied and lost.
    """

    seed: int
    group: str
    first: str
    second: str
    tally: Tally


def run_seed(
    seed: int, *, methods: Sequence[str], count: int, flipped: float, folder: Path
) -> tuple[list[Figures], list[Duel]]:
    """Train a base and, by every method, an adapter for each group; compare them all."""
    base = make_base(folder / "base", seed=seed)
    for group in GROUPS:
        made = pairs(group, count, seed, flipped) + pairs(group, HELD_OUT, seed, split="holdout")
        write_pairs(folder / "pairs" / f"{folder_name(group)}.jsonl", made)
    outcomes = {(m, o.group): o for m in methods for o in tuned(m, base, folder, seed)}
    adapters = {f"{m}/{g}": o.folder for (m, g), o in outcomes.items() if o.folder}
    answers = held_out_answers(base, adapters, seed=seed)
    figures = [
        figures_of(seed, method, outcome, answers)
        for (method, group), outcome in outcomes.items()
        if f"{method}/{group}" in answers
    ]
    return figures, list(duels(seed, methods, answers))


def tuned(method: str, base: Path, folder: Path, seed: int) -> tuple[Outcome, ...]:
    """Tune both groups' adapters by a method."""
    config = TuningConfig.model_validate(
        {
            "base": str(base),
            "method": method,
            "learning_rate": RATE[method],
            "seed": seed,
            "judge": "gpa_agent.testing.miniature.checks:Checks",
        }
    )
    return tune(Folders(pairs=folder / "pairs", models=folder / method), config).groups


def figures_of(
    seed: int, method: str, outcome: Outcome, answers: Mapping[str, Sequence[str]]
) -> Figures:
    """How one adapter fared."""
    group = outcome.group
    given = answers[f"{method}/{group}"]
    by_group = {g: beats(given, answers[BASE], g) for g in GROUPS}
    return Figures(
        seed=seed,
        method=method,
        group=group,
        gate="; ".join((outcome.status, *outcome.reasons)),
        own=by_group.pop(group),
        other=next(iter(by_group.values())),
        coherent=coherence(given),
        pairs=outcome.rows,
        seconds=outcome.seconds,
    )


def duels(
    seed: int, methods: Sequence[str], answers: Mapping[str, Sequence[str]]
) -> Iterator[Duel]:
    """Every two methods, by every group's taste."""
    for group in GROUPS:
        for number, first in enumerate(methods):
            for second in methods[number + 1 :]:
                one, two = f"{first}/{group}", f"{second}/{group}"
                if one in answers and two in answers:
                    yield Duel(seed, group, first, second, beats(answers[one], answers[two], group))


def keeps_promise(one: Figures) -> bool:
    """What the design promises of a group model of the default method."""
    return (
        one.own.win >= 0.8
        and one.own.win + one.own.tie >= 0.9
        and one.other.win <= 0.15
        and one.coherent >= 0.95
    )


def show(figures: Sequence[Figures], fought: Sequence[Duel]) -> None:
    """Print the tables."""
    console = Console(width=150)
    table = Table(title="Group models against the base, 72 held-out prompts x 3 (simulated)")
    for name in ("method", "group", "seed", "win", "tie", "other's win", "coherent", "rows", "s"):
        table.add_column(name, justify="left" if name in {"method", "group"} else "right")
    table.add_column("gate", max_width=70)
    for one in sorted(figures, key=lambda f: (METHODS.index(f.method), f.group, f.seed)):
        shares = (one.own.win, one.own.tie, one.other.win, one.coherent)
        cells = [f"{share:.3f}" for share in shares]
        rest = (str(one.pairs), f"{one.seconds:.0f}", one.gate)
        table.add_row(one.method, one.group, str(one.seed), *cells, *rest)
    console.print(table)
    against = Table(title="Head to head, mean over seeds: win / tie / loss of the first")
    for name in ("group", "first", "second", "win", "tie", "loss"):
        against.add_column(name)
    met = dict.fromkeys((d.group, d.first, d.second) for d in fought)
    for key in sorted(met):
        tallies = [d.tally for d in fought if (d.group, d.first, d.second) == key]
        against.add_row(*key, *(f"{fmean(share):.3f}" for share in zip(*tallies, strict=True)))
    console.print(against)
    promised = [one for one in figures if one.method == "dpo"]
    kept = sum(map(keeps_promise, promised))
    console.print(
        "promised of dpo: win >= .8, win + tie >= .9, other's win <= .15, coherent >= .95: "
        f"kept by {kept} of {len(promised)} adapters"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--pairs", type=int, default=500, help="to train on, per group")
    parser.add_argument("--flipped", type=float, default=0.0, help="share of pairs turned round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures: list[Figures] = []
    fought: list[Duel] = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            made, duelled = run_seed(
                seed,
                methods=args.methods,
                count=args.pairs,
                flipped=args.flipped,
                folder=Path(folder),
            )
        figures += made
        fought += duelled
    if args.json:
        told: dict[str, Sequence[Figures | Duel]] = {"figures": figures, "duels": fought}
        print(json.dumps({name: [row._asdict() for row in rows] for name, rows in told.items()}))
    else:
        show(figures, fought)


if __name__ == "__main__":
    main()
