"""What a model is told stays what it was, or comes with a new version.

After raising a prompt's version: ``GPA_WRITE_SNAPSHOTS=1 pytest tests/prompts/test_snapshots.py``
writes the messages anew and adds the new version's hash. A version's hash is never replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final

import pytest

from gpa_agent.prompts import load, repair
from gpa_agent.prompts.prompt import ANSWERS, PromptName
from tests.prompts.examples import ASKS

FOLDER: Final = Path(__file__).parent / "snapshots"
HASHES: Final = FOLDER / "versions.json"
WRITE: Final = os.environ.get("GPA_WRITE_SNAPSHOTS") == "1"


def shown(name: PromptName) -> str:
    if name == "repair":
        messages = repair(ASKS["intent"], '{"intent": "cod', "there is no complete JSON object")
    else:
        messages = ASKS[name].messages()
    return "".join(f"--- {message.type} ---\n{message.content}\n" for message in messages)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_messages_of_a_prompt_are_the_ones_kept(name: PromptName) -> None:
    path = FOLDER / f"{name}.txt"
    if WRITE:
        path.write_text(shown(name), encoding="utf-8")
    assert shown(name) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_changed_text_has_a_new_version(name: PromptName) -> None:
    prompt = load(name)
    known: dict[str, dict[str, str]] = json.loads(HASHES.read_text(encoding="utf-8"))
    told = hashlib.sha256(prompt.instructions.encode()).hexdigest()
    if WRITE:
        known.setdefault(name, {}).setdefault(prompt.version, told)
        HASHES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    assert known[name].get(prompt.version) == told, (
        f"what {name!r} tells the model changed under version {prompt.version}: raise its version"
    )


def test_every_snapshot_has_its_prompt() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(ANSWERS)
    assert set(json.loads(HASHES.read_text(encoding="utf-8"))) == set(ANSWERS)
