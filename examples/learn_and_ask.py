"""From a log to a rubric to two different answers, in one small program.

    python examples/learn_and_ask.py

The log is simulated (so are the answers unless OPENAI_API_KEY is set); put your own in its place.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.demo import bundled_log, bundled_taxonomy
from gpa_agent.testing.tailoring_model import TailoringChatModel


def app() -> BaseChatModel:
    """Your chat app: here a bare chat model."""
    return (
        ChatOpenAI(model="gpt-4o-mini") if "OPENAI_API_KEY" in os.environ else TailoringChatModel()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", nargs="?", default="Why do I get a KeyError in my dictionary?")
    question = parser.parse_args().question
    groups = ("novice", "expert")
    intents = {name: intent.model_dump() for name, intent in bundled_taxonomy().items()}
    with tempfile.TemporaryDirectory() as folder, bundled_log() as log:
        ws = Workspace.open(Path(folder) / "my.gpa", groups=groups, intents=intents)
        ws.ingest(log)
        report = ws.learn()
        print(f"tested {report.tested} hypotheses in {report.seconds:.1f} s")
        for rubric in report.rubrics:
            names = [a.name for a in rubric.aspects if a.status == "live"]
            print(f"{rubric.intent}: {', '.join(names) or 'no provable difference'}")
        graph: Any = GPAMiddleware(ws, holdout=0.0).wrap(app())
        for group in groups:
            config = {"configurable": {"thread_id": f"as-{group}", "group": group}}
            state = graph.invoke({"messages": [("user", question)]}, config)
            print(f"\n--- asked as {group}: {state['gpa']['aspects']}")
            print(state["messages"][-1].text)
        ws.close()


if __name__ == "__main__":
    main()
