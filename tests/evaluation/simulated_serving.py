"""Served turns of simulated people, written straight into a ledger."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from gpa_agent.ledger import Ledger
from gpa_agent.ledger.tables import conversations, judgments, labels, turns

START = datetime(2026, 5, 4, 8, tzinfo=UTC)
Chance = Callable[[bool, str], float]
"""Chance that a turn pleases, by whether its person is held out, and by group."""


@dataclass(kw_only=True)
class Serving:
    """An app in simulated time: a turn every minute, of people who come in turn."""

    path: Path
    people: int = 40
    held_out: int = 8
    seed: int = 0
    groups: tuple[str, ...] = ("novice", "expert")
    now: datetime = START
    served: int = 0
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"serving/{self.seed}")
        self.ledger = Ledger.open(self.path, people_key=b"k" * 32, clock=lambda: self.now)

    def publish(
        self,
        *names: str,
        intent: str = "debugging",
        also: Mapping[str, Mapping[str, str]] | None = None,
        **guidance: str,
    ) -> int:
        """Make a rubric live; aspects have the same guidance, but those of ``also`` their own."""
        self.now += timedelta(minutes=1)
        first, other = self.groups
        words = {n: guidance or {first: f"Use {n}.", other: f"Avoid {n}."} for n in names}
        body = {
            "intent": intent,
            "contrast": {"group": first, "other": other},
            "version": 0,
            "aspects": [
                {
                    "name": name,
                    "rating": 4,
                    "interpretation": "It divides them.",
                    "guidance": said,
                    "status": "live",
                }
                for name, said in {**words, **(also or {})}.items()
            ],
        }
        return self.ledger.publish(body, reason=f"added {', '.join(names)}").version

    def serve(self, count: int, chance: Chance, **trace: Any) -> None:
        """Serve turns; each is judged at once."""
        rows: dict[Any, list[dict[str, Any]]] = {
            table: [] for table in (conversations, turns, judgments, labels)
        }
        for _ in range(count):
            self._turn(rows, chance, trace)
        with self.ledger._write() as connection:
            for table, values in rows.items():
                if values:
                    connection.execute(insert(table), values)

    def _turn(
        self, rows: dict[Any, list[dict[str, Any]]], chance: Chance, trace: dict[str, Any]
    ) -> None:
        given = dict(trace)
        person, thread = self.rng.randrange(self.people), f"c{self.served}"
        own = given.pop("own_intent", None)
        judged = given.pop("judged", True)
        anonymous = given.pop("anonymous", False)
        self.now += timedelta(minutes=1)
        self.served += 1
        group, out = self.groups[person % len(self.groups)], person < self.held_out
        served = {
            "intent": "debugging",
            "group": group,
            "arm": "holdout" if out else "tailored",
            "mode": "plain" if out else "context",
            "rubric_version": 1,
            "aspects": [] if out else ["steps"],
            "degraded": None,
        } | given
        rows[conversations].append(
            {
                "id": thread,
                "person": None if anonymous else f"p{person}",
                "source": "live",
                "digest": "live",
                "created_at": self.now,
            }
        )
        rows[turns].append(
            {
                "conversation_id": thread,
                "idx": 0,
                "key": "k",
                "user_text": "SECRET question",
                "assistant_text": "SECRET answer",
                "at": self.now,
                "served": served,
            }
        )
        if judged:
            pleased = 1 if self.rng.random() < chance(out, group) else -1
            rows[judgments].append(_judgment(thread, pleased, self.now))
        if own is not None:
            rows[labels].append(
                {
                    "subject": "conversation",
                    "subject_id": thread,
                    "kind": "intent",
                    "value": own,
                    "confidence": 0.9,
                    "source": "classifier",
                    "version": "later",
                }
            )


def _judgment(thread: str, value: int, at: datetime) -> dict[str, Any]:
    return {
        "conversation_id": thread,
        "idx": 0,
        "kind": "explicit",
        "judgment": value,
        "confidence": 1.0,
        "source": "feedback",
        "version": "",
        "at": at,
    }


def arms(tailored: float, held_out: float) -> Chance:
    """The same chances in every group."""
    return lambda out, _group: held_out if out else tailored
