"""Which checkpoint is taken, by a log and a gate written by hand."""

from __future__ import annotations

from pathlib import Path

from gpa_agent.alignment.gating.verdict import Checkpoint, Verdict
from gpa_agent.alignment.tuning.choosing import by_promise, choose

PATHS = [Path(f"checkpoint-{step}") for step in (2, 4, 6, 8)]
# Of the chosen answers: they get likelier until step 4, then the model collapses.
LOGPS = {1: -6.0, 2: -5.0, 3: -4.0, 4: -3.0, 5: -9.0, 6: -20.0, 7: -25.0, 8: -28.0}
HISTORY = [
    *({"step": step, "epoch": 1.0, "logps/chosen": value} for step, value in LOGPS.items()),
    {"step": 8, "epoch": 1.0, "train_runtime": 3.0},
]


class Gate:
    """Takes the steps it is told to, and remembers what it was asked."""

    def __init__(self, *taken: Checkpoint) -> None:
        self.taken = taken
        self.asked: list[Checkpoint] = []

    def __call__(self, _: Path, named: Checkpoint) -> Verdict:
        self.asked.append(named)
        passed = named in self.taken
        return Verdict(passed=passed, reasons=() if passed else ("no",), checkpoint=named)


def test_the_end_is_taken_where_it_passes() -> None:
    gate = Gate("final", 2)
    chosen = choose(PATHS, HISTORY, gate)
    assert (chosen.checkpoint, chosen.verdict.checkpoint) == (PATHS[-1], "final")
    assert gate.asked == ["final"]


def test_a_collapse_is_rolled_back_to_where_chosen_answers_were_likeliest() -> None:
    # Means over the steps since the checkpoint before: (-6-5)/2, (-4-3)/2, (-9-20)/2.
    gate = Gate(2)
    chosen = choose(PATHS, HISTORY, gate)
    assert gate.asked == ["final", 4, 2]
    assert chosen.checkpoint == PATHS[0]


def test_where_none_passes_the_end_is_what_is_refused() -> None:
    gate = Gate()
    chosen = choose(PATHS, HISTORY, gate)
    assert gate.asked == ["final", 4, 2, 6]
    assert (chosen.checkpoint, chosen.verdict.passed) == (PATHS[-1], False)


def test_without_likelihoods_the_newest_comes_first() -> None:
    assert by_promise(PATHS[:-1], [{"step": 1, "loss": 1.0}]) == [PATHS[2], PATHS[1], PATHS[0]]


def test_likelihoods_that_are_no_numbers_come_last() -> None:
    broken = [{"step": 1, "logps/chosen": float("nan")}, *HISTORY[2:]]
    assert by_promise(PATHS[:-1], broken) == [PATHS[1], PATHS[2], PATHS[0]]


def test_a_run_of_one_checkpoint_has_nothing_to_go_back_to() -> None:
    gate = Gate()
    assert choose(PATHS[:1], HISTORY, gate).checkpoint == PATHS[0]
    assert gate.asked == ["final"]
