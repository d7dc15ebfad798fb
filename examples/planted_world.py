"""Try your own settings on a world whose truth is known: what is found, missed, made up?

    python examples/planted_world.py --people 80 --label-noise 0.2

The world is simulated. With ``--null`` its groups differ in nothing, so anything found is false.
"""

import argparse
import json
import tempfile
from pathlib import Path

from gpa_agent import Workspace
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import write_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=120, help="per group")
    parser.add_argument("--conversations", type=int, default=6, help="per person")
    parser.add_argument("--label-noise", type=float, default=0.05, help="share of wrong labels")
    parser.add_argument("--null", action="store_true", help="groups that differ in nothing")
    parser.add_argument("--max-q", type=float, default=0.05, help="your setting to try")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    world = ChatWorld(
        people=args.people,
        conversations=args.conversations,
        label_noise=args.label_noise,
        null=args.null,
        seed=args.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write_log(world, log)
        with Workspace.open(f"{folder}/my.gpa", groups=world.groups, max_q=args.max_q) as ws:
            ws.ingest(log)
            report = ws.learn()
    for rubric in report.rubrics:
        group, other = rubric.contrast.group, rubric.contrast.other
        truth = world.planted(rubric.intent, group, other)
        found = {
            a.name: round(a.evidence.effect, 2)
            for a in rubric.aspects
            if a.status == "live" and a.evidence
        }
        print(f"{rubric.intent}: {group} against {other}")
        print(f"  planted {json.dumps({k: round(v, 2) for k, v in truth.items()})}")
        print(f"  found   {json.dumps(found)}")


if __name__ == "__main__":
    main()
