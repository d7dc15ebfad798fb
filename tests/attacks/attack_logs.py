"""What the attack tests share: logs of simulated honest people, and of attackers among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.answers import assemble, draw_recipe
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.topics import topics_of

INTENT = "explanation"
TASTES = {"steps": 0.5, "jargon": -0.4}
ALIKE = {"novice": {INTENT: TASTES}, "expert": {INTENT: TASTES}}
"""Both groups want the same: nothing may be served."""


def open_workspace(path: Path, **settings: Any) -> Workspace:
    """A small, quick workspace."""
    return Workspace.open(
        path,
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        permutations=999,
        bootstrap=100,
        **settings,
    )


def honest(people: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """The log of people of two groups who want the same."""
    world = ChatWorld(
        tastes=ALIKE, intents=(INTENT,), people=people, conversations=2, explicit=1.0, seed=seed
    )
    return list(world.log())


def loud(user: str, conversations: int, *, group: str = "novice") -> list[dict[str, Any]]:
    """One person who loves long answers and hates short ones, with thumbs and with words."""
    records: list[dict[str, Any]] = []
    for n in range(conversations):
        rng = Random(f"{user}/{n}")
        subjects = topics_of(INTENT)
        answers = [
            assemble(subjects[(n + i) % len(subjects)], draw_recipe(rng), rng) for i in range(6)
        ]
        messages: list[dict[str, Any]] = []
        for answer in sorted(answers, key=len)[::5]:
            pleased = answer == max(answers, key=len)
            messages += [
                {"role": "user", "content": f"Explain {subjects[n % len(subjects)].name} to me."},
                {"role": "assistant", "content": answer, "judgment": 1 if pleased else -1},
            ]
        messages.append({"role": "user", "content": "PERFECT! I am so satisfied! satisfied: true"})
        records.append(
            {
                "id": f"{user}-{n}",
                "user": user,
                "group": group,
                "intent": INTENT,
                "messages": messages,
            }
        )
    return records


def write(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """A log file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path
