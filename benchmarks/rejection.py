"""What rejection sampling is worth where labels are wrong: RS-DPO against DPO on noisy pairs.

Run: python benchmarks/rejection.py [--seeds 2] [--pairs 600] [--flipped 0.3] [--json]

Everything is a miniature (`gpa_agent.testing.miniature`): simulated groups and a tiny base trained
from scratch. A share of each group's pairs stands the wrong way round. Three ways to tune: DPO on
all pairs, DPO on a random 60% of them, and RS-DPO on the 60% with the widest margin of a reward
model that was fitted to the same noisy pairs. Held-out pairs, for the gate, are clean. Then all
answer the 72 held-out prompts three times each; an incoherent answer loses.

Needs the extras: pip install 'gpa-agent[finetune,offline]'. A seed takes about three minutes on
two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

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

SHARE = 0.6
HELD_OUT = 100
LEARNING_RATE = 2e-3
ARMS: dict[str, Method] = {"all": "dpo", "random 60%": "dpo", "widest 60%": "rs-dpo"}
"""Which pairs, and the method that is tuned with."""


class Sampled(NamedTuple):
    """What rejection sampling did to one group's pairs.

    Attributes:
        seed: Of the pairs.
        group: Whose they are.
        pairs: Before.
        before: Share of them that stands the wrong way round.
        after: The same of those that are kept.
        accuracy: Share of all pairs that held-out reward models agree with.
        seconds: Embedding included.
    """

    seed: int
    group: str
    pairs: int
    before: float
    after: float
    accuracy: float
    seconds: float


class Fared(NamedTuple):
    """One adapter against the base on the held-out prompts.

    Attributes:
        seed: Of base, pairs and training.
        group: Whose it is, and whose taste compares.
        arm: Which pairs it was tuned on.
        rows: How many.
        flipped: Share of them that stood the wrong way round.
        tally: What it won, tied and lost.
        coherent: Share of its answers that make sense.
        gate: What the gate said.
    """

    seed: int
    group: str
    arm: str
    rows: int
    flipped: float
    tally: Tally
    coherent: float
    gate: str


def sample(train: Sequence[Pair], seed: int) -> tuple[Sampled, tuple[Pair, ...]]:
    """Keep one group's pairs with the widest margin."""
    started = time.monotonic()
    found = keep_by_margin(train, find_encoder(allow_download=False), share=SHARE, seed=seed)
    group = train[0].group
    figures = Sampled(
        seed=seed,
        group=group,
        pairs=len(train),
        before=flipped_share(train),
        after=flipped_share(found.kept),
        accuracy=found.accuracy[group].mean,
        seconds=time.monotonic() - started,
    )
    return figures, found.kept


def tuned(method: Method, base: Path, folder: Path, seed: int) -> tuple[Outcome, ...]:
    """Tune both groups' adapters on one arm's pairs."""
    config = TuningConfig(
        base=str(base),
        method=method,
        learning_rate=LEARNING_RATE,
        keep=SHARE,
        seed=seed,
        judge="gpa_agent.testing.miniature.checks:Checks",
    )
    return tune(Folders(pairs=folder / "pairs", models=folder / "models"), config).groups


def run_seed(
    seed: int, *, count: int, flipped: float, folder: Path
) -> tuple[list[Sampled], list[Fared]]:
    """Train a base and, by every arm, an adapter for each group; compare them with the base."""
    base = make_base(folder / "base", seed=seed)
    noisy = {group: pairs(group, count, seed, flipped) for group in GROUPS}
    sampled = {group: sample(train, seed) for group, train in noisy.items()}
    outcomes: dict[tuple[str, str], Outcome] = {}
    used: dict[tuple[str, str], Sequence[Pair]] = {}
    for arm, method in ARMS.items():
        for group, train in noisy.items():
            given = _random_share(train, seed) if arm.startswith("random") else train
            held_out = pairs(group, HELD_OUT, seed, split="holdout")
            path = folder / arm / "pairs" / f"{folder_name(group)}.jsonl"
            write_pairs(path, [*given, *held_out])
            used[arm, group] = sampled[group][1] if method == "rs-dpo" else given
        for outcome in tuned(method, base, folder / arm, seed):
            outcomes[arm, outcome.group] = outcome
    adapters = {f"{arm}/{g}": o.folder for (arm, g), o in outcomes.items() if o.folder}
    answers = held_out_answers(base, adapters, seed=seed)
    fared = [
        Fared(
            seed=seed,
            group=group,
            arm=arm,
            rows=outcome.rows,
            flipped=flipped_share(used[arm, group]),
            tally=beats(answers[f"{arm}/{group}"], answers[BASE], group),
            coherent=coherence(answers[f"{arm}/{group}"]),
            gate="; ".join((outcome.status, *outcome.reasons)),
        )
        for (arm, group), outcome in outcomes.items()
        if f"{arm}/{group}" in answers
    ]
    return [figures for figures, _ in sampled.values()], fared


def _random_share(train: Sequence[Pair], seed: int) -> list[Pair]:
    kept = sorted(Random(seed).sample(range(len(train)), int(SHARE * len(train))))
    return [train[number] for number in kept]


def show(sampled: Sequence[Sampled], fared: Sequence[Fared]) -> None:
    """Print the tables."""
    console = Console(width=140)
    table = Table(title="Pairs that stand the wrong way round (simulated)")
    for name in ("group", "seed", "pairs", "before", "after", "held-out accuracy", "s"):
        table.add_column(name, justify="right")
    for one in sampled:
        shares = (f"{share:.3f}" for share in (one.before, one.after, one.accuracy))
        table.add_row(one.group, str(one.seed), str(one.pairs), *shares, f"{one.seconds:.1f}")
    console.print(table)
    table = Table(title="Against the base, 72 held-out prompts x 3 (simulated)")
    for name in ("group", "seed", "tuned on", "rows", "flipped", "win", "tie", "loss", "coherent"):
        table.add_column(name, justify="right")
    table.add_column("gate", max_width=50)
    for adapter in sorted(fared, key=lambda f: (f.group, f.seed, list(ARMS).index(f.arm))):
        shares = (f"{share:.3f}" for share in (adapter.flipped, *adapter.tally, adapter.coherent))
        table.add_row(
            adapter.group, str(adapter.seed), adapter.arm, str(adapter.rows), *shares, adapter.gate
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=600, help="to choose from, per group")
    parser.add_argument("--flipped", type=float, default=0.3, help="share of pairs turned round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sampled: list[Sampled] = []
    fared: list[Fared] = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            figures = run_seed(seed, count=args.pairs, flipped=args.flipped, folder=Path(folder))
        sampled += figures[0]
        fared += figures[1]
    if args.json:
        print(json.dumps({"sampled": [o._asdict() for o in sampled], "fared": [
            {**o._asdict(), "tally": o.tally._asdict()} for o in fared
        ]}, indent=2))  # fmt: skip
    else:
        show(sampled, fared)


if __name__ == "__main__":
    main()
