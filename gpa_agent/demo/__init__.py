"""The bundled log that ``gpa demo`` learns from: simulated, small, and reproducible.

It was written by the project's own generator, and a test writes it again and compares::

    python -m gpa_agent.testing.chat_world --out gpa_agent/demo/log.jsonl.gz \
        --taxonomy gpa_agent/demo/taxonomy.json --seed 1

No person and no model stands behind it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from gpa_agent.settings import Intent

GROUPS = ("novice", "expert")
"""The groups of the bundled log."""

SEED = 1
"""The seed it was made with: ``ChatWorld(seed=SEED)`` holds the same simulated people."""


@contextmanager
def bundled_log() -> Generator[Path]:
    """The bundled log as a file, also where the package lies in a zip archive."""
    with resources.as_file(resources.files("gpa_agent.demo").joinpath("log.jsonl.gz")) as path:
        yield path


def bundled_taxonomy() -> dict[str, Intent]:
    """The intents of the bundled log, with example questions."""
    from gpa_agent.settings import Intent  # noqa: PLC0415 -- pydantic-settings loads when used

    text = resources.files("gpa_agent.demo").joinpath("taxonomy.json").read_text(encoding="utf-8")
    return {name: Intent.model_validate(entry) for name, entry in json.loads(text).items()}
