"""The middleware in a LangChain agent: what is added to the prompt, and for whom.

    python examples/middleware.py

The rubric is written by hand here, so the program needs no log; the model is scripted and
answers with the system prompt it was sent, so that you can see it.
"""

import argparse
import tempfile
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import BaseMessage

from gpa_agent import Aspect, GPAContext, GPAMiddleware, Rubric, Workspace
from gpa_agent.rubrics.records import ContrastModel
from gpa_agent.testing.chat_models import ScriptedChatModel

RUBRIC = Rubric(
    intent="debugging",
    contrast=ContrastModel(group="novice", other="expert"),
    version=0,
    aspects=(
        Aspect(
            name="code",
            rating=4,
            interpretation="Written by hand: experts want code, novices want steps.",
            guidance={"novice": "Explain in numbered steps.", "expert": "Show the code first."},
            status="live",
        ),
    ),
)


def show_prompt(messages: list[BaseMessage]) -> str:
    """Answer with the system prompt."""
    return messages[0].text if messages[0].type == "system" else "(no system prompt)"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    model = ScriptedChatModel(script=show_prompt)
    with tempfile.TemporaryDirectory() as folder, Workspace.open(f"{folder}/my.gpa") as ws:
        ws.import_rubrics([RUBRIC])
        middleware: Any = GPAMiddleware(ws, holdout=0.0)
        agent: Any = create_agent(
            model, system_prompt="You help.", middleware=[middleware], context_schema=GPAContext
        )
        for group in ("novice", "expert", None):
            who = GPAContext(group=group, intent="debugging")
            state = agent.invoke({"messages": [("user", "Why a KeyError?")]}, context=who)
            print(f"--- asked as {group}: {state['gpa']['mode']}\n{state['messages'][-1].text}\n")


if __name__ == "__main__":
    main()
