"""Do group models win for their own group and for no other, and which way of tuning does it best?

Run: python benchmarks/group_models.py [--seeds 0 1 2] [--methods dpo ...] [--flipped 0.3] [--json]

Everything is a miniature (`gpa_agent.testing.miniature`): for each seed a tiny base is trained
from scratch, the pairs are of two simulated groups, and every method tunes one adapter a group on
the same pairs, through the same gate. Then all answer the 72 held-out prompts three times each;
an incoherent answer loses. The adapters are looked at whether or not the gate lets them serve.
Which method comes first here says nothing of how they compare on people and large models.

Settings were chosen on seeds 10 to 12 (KTO's on 12 alone); what is reported is of seeds 0 to 2.
DPO's usual beta of 0.1 wins as often, but its answers mix the facts of several tasks more often:
the gate then goes back to an early checkpoint, which wins less.

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
from gpa_agent.alignment.pair import Pair, folder_name, write_pairs
from gpa_agent.alignment.tuning.job import Folders
from gpa_agent.alignment.tuning.outcomes import Outcome
from gpa_agent.alignment.tuning.rejection import keep_by_margin
from gpa_agent.alignment.tuning.tuning import tune
from gpa_agent.embedding import find_encoder
from gpa_agent.testing.miniature.base import make_base
from gpa_agent.testing.miniature.checks import Tally, flipped_share
from gpa_agent.testing.miniature.domain import GROUPS
from gpa_agent.testing.miniature.preferences import pairs
from gpa_agent.testing.miniature.winning import BASE, beats, coherence, held_out_answers

METHODS: tuple[str, ...] = get_args(Method)
HELD_OUT = 100
KEEP = 0.6
"""Share of pairs that the ``rs-`` methods keep."""
SETTINGS: Mapping[str, Mapping[str, float]] = {
    "kto": {"learning_rate": 2e-3},
    "kto-augmented": {"learning_rate": 1e-3, "beta": 0.5},
}
"""What half a million parameters take; the other methods go by `USUAL`."""
USUAL: Mapping[str, float] = {"learning_rate": 2e-3, "beta": 0.5}

COLUMNS = ("seed", "win", "tie", "loss", "other's win", "coherent", "flipped", "rows", "s")


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
        rows: Trained on.
        flipped: Share of the pairs they were made of that stand the wrong way round.
        seconds: Of training and gate.
    """

    seed: int
    method: str
    group: str
    gate: str
    own: Tally
    other: Tally
    coherent: float
    rows: int
    flipped: float
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
    learned = {group: pairs(group, count, seed, flipped) for group in GROUPS}
    for group, made in learned.items():
        held_out = pairs(group, HELD_OUT, seed, split="holdout")
        write_pairs(folder / "pairs" / f"{folder_name(group)}.jsonl", made + held_out)
    outcomes = {(m, o.group): o for m in methods for o in tuned(m, base, folder, seed)}
    adapters = {f"{m}/{g}": o.folder for (m, g), o in outcomes.items() if o.folder}
    answers = held_out_answers(base, adapters, seed=seed)
    wrong = {group: wrong_shares(made, methods, seed) for group, made in learned.items()}
    figures = [
        figures_of(seed, method, outcome, answers, wrong[group][method])
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
            **SETTINGS.get(method, USUAL),
            "keep": KEEP,
            "seed": seed,
            "judge": "gpa_agent.testing.miniature.checks:Checks",
        }
    )
    return tune(Folders(pairs=folder / "pairs", models=folder / method), config).groups


def wrong_shares(made: Sequence[Pair], methods: Sequence[str], seed: int) -> dict[str, float]:
    """Method to the share of pairs that stand the wrong way round among those it learns from."""
    before = flipped_share(made)
    shares = dict.fromkeys(methods, before)
    rejecting = [method for method in methods if method.startswith("rs-")]
    if before and rejecting:
        encoder = find_encoder(allow_download=False)
        kept = keep_by_margin(made, encoder, share=KEEP, seed=seed).kept
        shares |= dict.fromkeys(rejecting, flipped_share(kept))
    return shares


def figures_of(
    seed: int, method: str, outcome: Outcome, answers: Mapping[str, Sequence[str]], flipped: float
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
        rows=outcome.rows,
        flipped=flipped,
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
    for name in ("method", "group", *COLUMNS):
        table.add_column(name, justify="right" if name in COLUMNS else "left")
    table.add_column("gate", max_width=70)
    for one in sorted(figures, key=lambda f: (METHODS.index(f.method), f.group, f.seed)):
        cells = [f"{share:.3f}" for share in (*one.own, one.other.win, one.coherent, one.flipped)]
        rest = (str(one.rows), f"{one.seconds:.0f}", one.gate)
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--pairs", type=int, default=600, help="to train on, per group")
    parser.add_argument("--flipped", type=float, default=0.0, help="share of pairs turned round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures: list[Figures] = []
    fought: list[Duel] = []
    for seed in args.seeds:
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
