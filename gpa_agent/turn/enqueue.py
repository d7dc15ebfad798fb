"""Under a LangGraph server, learning from a turn is a run of its own graph.

The turn's last step asks the server for a run of the graph ``learn``
(`gpa_agent.learning.graph`) on a thread that belongs to the conversation, to begin in two
seconds. A turn that comes before replaces the run that waits, so that many quick turns make one
run; what the replaced one was to look at is still in the ledger. Outside a server nothing of
this is loaded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from langgraph.runtime import get_runtime

from gpa_agent.turn.tailor import served_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpa_agent.turn.tailor import Tailor

LEARN: Final = "learn"
"""What the server knows the graph by (``langgraph.json``)."""
_DEBOUNCE_SECONDS: Final = 2
_LONGEST_SECONDS: Final = 1.0
"""How long the end of the turn may wait for the server to take the run in."""


def learn_thread(conversation: str) -> str:
    """The thread on which a conversation is learned from."""
    return str(uuid5(NAMESPACE_URL, f"gpa-agent:learn:{conversation}"))


async def enqueue_learn(
    tailor: Tailor, turn: Mapping[str, Any], trace: dict[str, Any]
) -> dict[str, Any]:
    """Ask the server that serves this turn to learn from it.

    Args:
        tailor: The engine; says whether to ask, and counts and logs what fails.
        turn: What `Plan.to_state` wrote.
        trace: The turn's trace.

    Returns:
        The trace, under ``learn`` the thread and the id of the run; as it was outside a server,
        and with the reason where the server did not take the run in. Nothing is raised.
    """
    if not tailor.enqueuing or "conversation" not in turn or get_runtime().server_info is None:
        return trace
    try:
        run = await asyncio.wait_for(_enqueue(turn["conversation"]), _LONGEST_SECONDS)
    except Exception as error:  # noqa: BLE001 -- the reply is out; it stays
        return served_trace(trace, [tailor.degrade("enqueue_learn", error)])
    return {**trace, "learn": run}


async def _enqueue(conversation: str) -> dict[str, str]:
    from langgraph_sdk import get_client  # noqa: PLC0415 -- breaks outside a server

    thread = learn_thread(conversation)
    async with get_client() as client:  # without a URL: this very server, in the process
        await client.threads.create(
            thread_id=thread,
            graph_id=LEARN,
            if_exists="do_nothing",
            metadata={"gpa_conversation": conversation},
        )
        run = await client.runs.create(
            thread,
            LEARN,
            input={"conversation": conversation},
            multitask_strategy="rollback",
            after_seconds=_DEBOUNCE_SECONDS,
        )
    return {"thread": thread, "run": run["run_id"]}
