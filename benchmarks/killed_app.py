"""The process that `benchmarks.kills` kills: an app under load, and a worker that learns from it.

It says over a pipe what it is about to do and what is done; what it said is done must survive.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.conversations.records import Judgment
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.worker import Worker
from gpa_agent.ledger.exclusive import Busy
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.living_world import LivingWorld, Visit
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.tailoring_model import TailoringChatModel
from gpa_agent.testing.voiced_world import VoicedWorld

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Engine = Literal["embedded", "model"]

INTENTS = ("debugging",)
WORLD = LivingWorld(
    world=ChatWorld(
        tastes={
            "novice": {"debugging": {"warmth": 1.8, "questions_back": -1.8}},
            "expert": {"debugging": {"warmth": -1.8, "questions_back": 1.8}},
        },
        intents=INTENTS,
        people=20,
    )
)


class Said(NamedTuple):
    """What the app or the worker tells its parent.

    Attributes:
        what: ``asks``, then ``answered``; ``ingests``, then ``ingested``; ``judges``, then
            ``judged`` (a thumb); ``stage``: what the worker is at; ``broken``: what went wrong.
        subject: The conversation, the number of the log, or the stage.
        key: The turn's key, or the thumb's turn and judgment.
        said: What the user said.
        visit: Number of the visit.
    """

    what: Literal["asks", "answered", "ingests", "ingested", "judges", "judged", "stage", "broken"]
    subject: str
    key: str = ""
    said: str = ""
    visit: int = 0


class Teller:
    """Says things over the pipe, one at a time.

    Args:
        pipe: Where to.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, said: Said) -> None:
        """Say it; the bytes are the parent's when this returns."""
        with self._lock:
            self._pipe.send_bytes(json.dumps(said).encode())

    def stage(self, stage: str, done: int, total: int | None) -> None:
        """Say what the worker is at."""
        self(Said("stage", stage if done != total else f"{stage}, done"))


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a process does until it is killed."""

    folder: str
    """The workspace."""
    engine: Engine
    threads: int = 3
    """Threads that serve turns."""
    first_visit: int = 0
    """Visits from this one on are new."""
    first_log: int = 0
    """Logs from this one on are new."""
    again: tuple[Said, ...] = ()
    """Turns, logs and thumbs that were never acknowledged: done again, as a client would."""
    works: bool = True
    """Whether this process has the worker in it, too."""


def open_workspace(folder: str | Path, engine: Engine) -> Workspace:
    """A workspace that refines all the time."""
    return Workspace.open(
        folder,
        groups=WORLD.world.groups,
        encoder=HashingEncoder(),
        model=SimulatedChatModel() if engine == "model" else None,
        daily_calls=None,
        permutations=199,
        bootstrap=100,
        holdout=0.2,
        work_seconds=0.02,
        refine_after_turns=5,
        refine_seconds=0.0,
    )


def log(number: int, engine: Engine) -> io.BytesIO:
    """A small log; the same number is always the same log.

    Tastes come and go from log to log, so that rubrics keep changing.
    """
    world: Any
    if engine == "model":
        world = VoicedWorld(seed=number % 2, intents=INTENTS, people=40, conversations=1)
        records = list(world.log())[number % 4 :: 4]
    else:
        turned = WORLD if number % 6 < 3 else WORLD.flipped()
        world = replace(turned.world, seed=1000 + number, people=15, conversations=2)
        records = list(world.log())
    lines = [json.dumps(record) for record in records]
    return io.BytesIO("\n".join(lines).encode())


def serve(load: Load, pipe: Connection) -> None:
    """Serve, ingest and, where asked for, learn; never returns."""
    tell = Teller(pipe)
    threading.excepthook = lambda failed: tell(Said("broken", repr(failed.exc_value)))
    try:
        with open_workspace(load.folder, load.engine) as ws:
            graph: Any = GPAMiddleware(ws, learn="off").wrap(TailoringChatModel())
            if load.works:
                Worker(ws, progress=tell.stage).start()
            for said in load.again:
                _again(ws, graph, load, said, tell)
            for number in range(load.threads):
                threading.Thread(target=_visits, args=(ws, graph, load, number, tell)).start()
            number = load.first_log
            while True:
                _ingest(ws, load, number, tell)
                number += 1
                time.sleep(1.0)
    except Exception as error:  # noqa: BLE001 -- the parent is to hear of it
        tell(Said("broken", repr(error)))
        sys.exit(1)


def work(load: Load, pipe: Connection) -> None:
    """Be the worker, in a process of its own; never returns."""
    tell = Teller(pipe)
    try:
        with open_workspace(load.folder, load.engine) as ws:
            worker = Worker(ws, progress=tell.stage)
            while True:
                try:
                    worker.run_once()
                except Busy:
                    continue
    except Exception as error:  # noqa: BLE001 -- the parent is to hear of it
        tell(Said("broken", repr(error)))
        sys.exit(1)


def _visits(ws: Workspace, graph: Any, load: Load, thread: int, tell: Teller) -> None:  # noqa: ANN401 -- a compiled graph
    for number, visit in _numbered(load.first_visit + thread, step=load.threads):
        _visit(ws, graph, visit, number, tell)


def _numbered(first: int, *, step: int) -> Iterator[tuple[int, Visit]]:
    number = first
    while True:
        yield number, next(WORLD.visits(first=number))
        number += step


def _visit(ws: Workspace, graph: Any, visit: Visit, number: int, tell: Teller) -> None:  # noqa: ANN401 -- a compiled graph
    messages: list[Any] = []

    def answer(said: str) -> str:
        asked = Said("asks", visit.thread, f"{visit.thread}/{len(messages) // 2}", said, number)
        tell(asked)
        text = _turn(graph, visit, [*messages, HumanMessage(said, id=asked.key)])
        tell(asked._replace(what="answered"))
        time.sleep(0.02)  # the worker is to get its turn, too
        messages.extend([HumanMessage(said, id=asked.key), AIMessage(text)])
        return text

    turns = list(visit.talk(answer))
    if visit.thumb:
        thumb = Said("judges", visit.thread, f"{len(turns) - 1}:{int(turns[-1].judgment)}")
        tell(thumb)
        _judge(ws, thumb, tell)


def _turn(graph: Any, visit: Visit, messages: list[Any]) -> str:  # noqa: ANN401 -- a compiled graph
    asker = {
        "thread_id": visit.thread,
        "user_id": visit.person.id,
        "group": visit.person.group,
        "intent": visit.intent,
    }
    state = graph.invoke({"messages": messages}, {"configurable": asker})
    if state["gpa"]["degraded"]:
        raise RuntimeError(state["gpa"]["degraded"])
    return str(state["messages"][-1].text)


def _judge(ws: Workspace, thumb: Said, tell: Teller) -> None:
    turn, judgment = (int(part) for part in thumb.key.split(":"))
    ws.feedback(conversation=thumb.subject, turn=turn, judgment=Judgment(judgment))
    tell(thumb._replace(what="judged"))


def _ingest(ws: Workspace, load: Load, number: int, tell: Teller) -> None:
    tell(Said("ingests", str(number)))
    ws.ingest(log(number, load.engine))
    tell(Said("ingested", str(number)))


def _again(ws: Workspace, graph: Any, load: Load, said: Said, tell: Teller) -> None:  # noqa: ANN401 -- a compiled graph
    if said.what == "ingests":
        _ingest(ws, load, int(said.subject), tell)
    elif said.what == "judges":
        _judge(ws, said, tell)
    else:
        visit = next(WORLD.visits(first=said.visit))
        _turn(graph, visit, [HumanMessage(said.said, id=said.key)])
        tell(said._replace(what="answered"))
