"""The middleware around an agent you already have, tools and all.

    python adapters/existing_agent.py --group novice "Is the build server up?"

The agent is an ordinary ``create_agent`` app with two tools, its own system prompt and its
own checkpointer. Nothing in it knows of groups; one line adds the middleware. Without
OPENAI_API_KEY a scripted model plays the agent's part: it calls a tool, reads the result and
answers. The program prints what the model was sent, what the tools were asked, and the trace.

Without ``--workspace`` it makes a temporary one with one hand-written aspect, so that there is
something to see; name a workspace that has learned from your log to see what that found.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from gpa_agent import Aspect, GPAContext, GPAMiddleware, Rubric, Workspace
from gpa_agent.rubrics.records import ContrastModel
from gpa_agent.testing.chat_models import ScriptedChatModel

SYSTEM_PROMPT = "You look after the team's servers. Check before you answer."
SEED = Rubric(
    intent="operations",
    contrast=ContrastModel(group="novice", other="expert"),
    version=0,
    aspects=(
        Aspect(
            name="steps",
            rating=4,
            interpretation="Newcomers of the team asked for steps; written by hand, not learned.",
            guidance={"novice": "Explain what to do in numbered steps."},
            status="live",
        ),
    ),
)


@tool
def server_status(name: str) -> str:
    """Look up whether a server is up."""
    return f"{name}: up since Monday, load 0.4"


@tool
def restart(name: str) -> str:
    """Restart a server."""
    return f"{name}: restarted"


def scripted(messages: list[BaseMessage]) -> AIMessage:
    """Call a tool, then answer from its result as the prompt asks."""
    if not isinstance(messages[-1], ToolMessage):
        call = {"name": "server_status", "args": {"name": "build"}, "id": "call-1"}
        return AIMessage(content="", tool_calls=[call])
    system = "\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    if "numbered steps" in system:
        return AIMessage(content=f"1. I looked: {messages[-1].text}.\n2. Nothing is left to do.")
    return AIMessage(content=f"Yes. {messages[-1].text}.")


def your_model() -> BaseChatModel:
    """The model of your agent: a real one where there is a key."""
    if os.environ.get("OPENAI_API_KEY"):
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- only with a key

        return ChatOpenAI(model=os.environ.get("GPA_MODEL", "gpt-4o-mini"))
    return ScriptedChatModel(script=scripted)


def ask(ws: Workspace, question: str, *, user: str | None, group: str | None) -> dict[str, Any]:
    """Ask the agent with the middleware in it; your own code changes in one line."""
    agent: Any = create_agent(
        your_model(),
        tools=[server_status, restart],
        system_prompt=SYSTEM_PROMPT,
        checkpointer=InMemorySaver(),
        middleware=[GPAMiddleware(ws, holdout=0.0)],  # <- the line
        context_schema=GPAContext,
    )
    state: dict[str, Any] = agent.invoke(
        {"messages": [("user", question)]},
        {"configurable": {"thread_id": "existing-agent"}},
        context=GPAContext(user_id=user, group=group, intent="operations"),
    )
    return state


def show(messages: Sequence[BaseMessage]) -> None:
    """Print a conversation, tool calls included."""
    for message in messages:
        for call in getattr(message, "tool_calls", []):
            print(f"tool call: {call['name']}({call['args']})")
        if message.text:
            print(f"{message.type}: {message.text}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("question", nargs="?", default="Is the build server up?")
    parser.add_argument("--group", help="the asker's group")
    parser.add_argument("--user", help="the asker's id")
    parser.add_argument("--workspace", type=Path, help="one that has learned; else a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpa-existing-agent-") as folder:
        path = args.workspace or Path(folder) / "workspace"
        with Workspace.open(path, create=args.workspace is None) as ws:
            if args.workspace is None:
                ws.import_rubrics([SEED])
            state = ask(ws, args.question, user=args.user, group=args.group)
        show(state["messages"])
        print(f"trace: {state['gpa']}")


if __name__ == "__main__":
    main()
