"""A base that can say two sentences, groups that each want one of them, and who can tell.

Trained in seconds, so that tuning can be followed from pairs to what the gate says of real text.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.gating.judging import Asked
from gpa_agent.alignment.pair import Pair, Said, folder_name, write_pairs
from gpa_agent.alignment.tuning.child import NEXT, Events, do
from gpa_agent.alignment.tuning.job import Job
from gpa_agent.alignment.tuning.outcomes import Event, Outcome
from tests.alignment.tiny_models import make_base

SAYINGS = {"novice": "a heap keeps the smallest item on top", "expert": "a stack keeps the newest"}
TOPICS = ("loop", "heap", "sort", "map", "fold", "stack", "item")


class HeapJudge:
    """Likes an answer that says what the group wants; 1, or 0."""

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        return [float(SAYINGS.get(group, "") in answer) for answer in answers]

    def coherent(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[bool]:
        return [answer in SAYINGS.values() for answer in answers]


class NobodysJudge(HeapJudge):
    """Sees no difference between any two answers, so that nothing passes."""

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        return [0.0] * len(answers)


JUDGE = f"{__name__}:HeapJudge"
NOBODY = f"{__name__}:NobodysJudge"


def heap_pairs(group: str, count: int = 48, *, held_out: int = 24) -> list[Pair]:
    """Pairs of one group, a person each; every third judgment is a DSAT."""
    liked = SAYINGS.get(group, SAYINGS["novice"])
    other = next(saying for saying in SAYINGS.values() if saying != liked)
    return [
        Pair(
            prompt=(Said(role="user", content=prompt(n)),),
            chosen=(Said(role="assistant", content=liked),),
            rejected=(Said(role="assistant", content=other),),
            subject=f"t:c{n}:0",
            person=f"{group}-{n:02d}",
            group=group,
            intent="howto",
            judgment=1 if n % 3 else -1,
            rubric_version=2,
            generator="simulated",
            split="holdout" if n >= count else "train",
        )
        for n in range(count + held_out)
    ]


def prompt(number: int) -> str:
    return f"why does my {TOPICS[number % len(TOPICS)]} skip {number} items?"


def write_groups(folder: Path, *groups: str, count: int = 48) -> Path:
    """Write the pairs of groups where tuning reads them."""
    for group in groups:
        write_pairs(folder / f"{folder_name(group)}.jsonl", heap_pairs(group, count))
    return folder


def make_speaking_base(folder: Path, *, steps: int = 200) -> Path:
    """Teach a random base both sentences, evenly, and to end after one."""
    from gpa_agent.alignment.deps import require

    require("make a base for a test")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    make_base(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = AutoModelForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    pad = tokenizer.pad_token_id
    for step in range(steps):
        asked = (prompt(step * 4 % 100 + n) for n in range(4))
        rows = [_ids(tokenizer, one, said) for one in asked for said in SAYINGS.values()]
        width = max(len(row) for row in rows)
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        labels = torch.where(ids == pad, -100, ids)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def _ids(tokenizer: Any, asked: str, answer: str) -> list[int]:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)
    ids: list[int] = rendered["input_ids"]
    return ids


def settings(base: Path, **given: Any) -> TuningConfig:
    """A configuration under which both groups' models pass in a dozen steps."""
    usual: dict[str, Any] = {
        "base": str(base),
        "batch_size": 8,
        "learning_rate": 5e-3,
        "epochs": 2,
        "max_length": 128,
        "judge": JUDGE,
        "gate": {"max_new_tokens": 24},
        "device": "cpu",
    }
    return TuningConfig.model_validate({**usual, **given})


def do_here(job: Job, events: Heard | None = None) -> dict[str, Outcome]:
    """Do a job in this process, which has torch loaded already; outcomes by group."""
    heard = Heard() if events is None else events
    while (code := do(job, heard)) == NEXT:
        left = tuple(group for group in job.groups if group not in heard.outcomes)
        job = job.model_copy(update={"groups": left})
        if not left:
            break
    assert code in (0, NEXT)
    return heard.outcomes


class Heard(Events):
    """Events kept in a list."""

    def __init__(self) -> None:
        super().__init__(None)
        self.told: list[Event] = []
        self.outcomes: dict[str, Outcome] = {}

    def tell(self, event: Event) -> None:
        self.told.append(event)
        if event.outcome is not None:
            self.outcomes[event.outcome.group] = event.outcome
