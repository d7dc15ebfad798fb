"""A model for each group: from a log over rubrics, pairs, two adapters and the gate to an answer.

    python examples/group_models.py --pictures pictures

A miniature, of about two minutes on two cores: people and the twins' writer are simulated, and the
tiny base is trained here, from scratch. Needs pip install 'gpa-agent[finetune]'.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.alignment import GroupModels, TuningConfig, make_pairs, tune
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.miniature.base import make_base
from gpa_agent.testing.miniature.twins import TwinWriter
from gpa_agent.testing.miniature.winning import draw, held_out_answers, win_matrix
from gpa_agent.testing.miniature.world import MiniatureWorld, taxonomy
from gpa_agent.testing.world_logs import write_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for curves and win matrix")
    pictures = parser.parse_args().pictures
    world, intents = MiniatureWorld(), {n: i.model_dump() for n, i in taxonomy().items()}
    with tempfile.TemporaryDirectory() as folder:
        write_log(world, Path(folder, "log.jsonl"))
        base = make_base(Path(folder, "base"))
        ws = Workspace.open(f"{folder}/my.gpa", groups=world.groups, intents=intents)
        ws.ingest(f"{folder}/log.jsonl")
        for rubric in ws.learn().rubrics:
            print(rubric.intent, [a.name for a in rubric.aspects if a.status == "live"])
        print("pairs:", make_pairs(ws, model=TwinWriter()).pairs)
        tuned = tune(ws, TuningConfig(base=str(base), learning_rate=2e-3, beta=0.5)).groups
        print("adapters:", *(f"{t.group} {t.status} {'; '.join(t.reasons)}" for t in tuned))
        runs = {t.group: t.folder for t in tuned if t.folder}
        wins = win_matrix(held_out_answers(base, runs))
        print("wins:", {m: {g: round(t.win, 2) for g, t in row.items()} for m, row in wins.items()})
        if pictures:
            drawn = draw(wins, runs, pictures) or ("none, matplotlib is not installed",)
            print("pictures:", *drawn)
        with GroupModels.local(ws) as models:
            app: Any = GPAMiddleware(ws, holdout=0.0, group_models=models).wrap(ScriptedChatModel())
            for group in world.groups:
                who = {"configurable": {"thread_id": group, "group": group, "intent": "howto"}}
                state = app.invoke({"messages": [("user", "How do I sort a list?")]}, who)
                print(f"asked as {group}: {state['gpa']['mode']}: {state['messages'][-1].text}")
        ws.close()


if __name__ == "__main__":
    main()
