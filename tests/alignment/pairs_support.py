"""A workspace with two opposed groups, and a simulated writer of twins behind a loopback server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric
from gpa_agent.testing.tailoring_model import tailored_answer

GROUPS = ("novice", "expert")
NOVICE = "Lay it out as numbered steps, one action each."
EXPERT = "Give the code alone, in one block, without any words."


def twin_of(request: Mapping[str, Any]) -> str:
    """What a simulated writer says: an answer on the question's topic that follows the guidance."""
    system, said = (message["content"] for message in request["messages"][:2])
    guidance = system.partition("\n# Guidance\n")[2]
    question = json.loads(said)["question"]
    twin = tailored_answer([SystemMessage(guidance), HumanMessage(question)])
    return json.dumps({"response": twin})


def marked(request: Mapping[str, Any]) -> str:
    """A twin that says which guidance it was given."""
    system = request["messages"][0]["content"]
    side = "in numbered moves" if NOVICE in system else "by a listing only"
    asked = json.loads(request["messages"][1]["content"])["question"]
    return json.dumps({"response": f"Done {side}, for what was asked: {asked[:60]}!"})


def open_workspace(path: Path, **given: Any) -> Workspace:
    """A workspace of the two groups that never looks for a sentence encoder.

    Its key is the same in every run, and with it who is held out.
    """
    if not path.exists():
        path.mkdir(parents=True)
        (path / "people.key").write_text("7" * 64)
    return Workspace.open(path, groups=list(GROUPS), encoder=HashingEncoder(), **given)


def rubric(intent: str = "debugging", other: str = "expert", **guidance: str) -> Rubric:
    """A hand-written rubric, to be imported; by default with guidance for both sides."""
    wants = guidance or {"novice": NOVICE, "expert": EXPERT}
    aspect = Aspect(
        name="form", rating=4, interpretation="Steps against code.", guidance=wants, status="live"
    )
    contrast = ContrastModel(group="novice", other=other)
    return Rubric(intent=intent, contrast=contrast, version=0, aspects=(aspect,))


def record(
    id_: str, *messages: tuple[str, int | None] | str, group: str = "novice", **fields: Any
) -> dict[str, Any]:
    """A conversation of the log: utterances and answers in turn, answers with their judgment."""
    said: list[dict[str, Any]] = []
    for i, message in enumerate(messages):
        text, judgment = message if isinstance(message, tuple) else (message, None)
        one: dict[str, Any] = {"role": "assistant" if i % 2 else "user", "content": text}
        said.append(one | ({} if judgment is None else {"judgment": judgment}))
    named = {"group": group, "intent": "debugging", "user": f"user-{id_}"}
    return {"id": id_, "messages": said, **named, **fields}


def recorded_pair(id_: str, *, group: str = "novice", **fields: Any) -> dict[str, Any]:
    """A preference pair of the log."""
    return {
        "id": id_,
        "user": f"user-{id_}",
        "group": group,
        "intent": "planning",
        "prompt": [{"role": "user", "content": f"Plan {id_} for me"}],
        "chosen": [{"role": "assistant", "content": f"First {id_}, then the rest of it."}],
        "rejected": [{"role": "assistant", "content": f"{id_}: no plan survives anyway."}],
        **fields,
    }


def ingest(ws: Workspace, path: Path, *records: dict[str, Any]) -> None:
    """Read records into a workspace."""
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    ws.ingest(path)
