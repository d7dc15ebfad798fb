"""A manifest as tuning writes it."""

from __future__ import annotations

from datetime import UTC, datetime

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.gating.verdict import Verdict
from gpa_agent.alignment.manifest import Base, Data, Manifest


def manifest(*, passed: bool = True, group: str = "novice", base: str = "/models/base") -> Manifest:
    """One of a run that passed, or that was refused."""
    return Manifest(
        group=group,
        method="dpo",
        base=Base(name=base, sha256="1" * 64, tokenizer_sha256="2" * 64, template_sha256="3" * 64),
        data=Data(sha256="4" * 64, pairs=40, held_out=20),
        people=("p1", "p2"),
        wishes={"howto": ("steps 0123",)},
        rubric_versions={"howto": 3},
        config=TuningConfig(base=base),
        seed=0,
        packages={"trl": "1.16.0"},
        counts={"rows": 40, "steps": 3},
        verdict=Verdict(
            passed=passed,
            reasons=() if passed else ("its text is no text",),
            figures={"win": 0.9, "advantage_low": None},
        ),
        inputs="5" * 64,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
