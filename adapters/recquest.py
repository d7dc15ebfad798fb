"""RecQuest shopping dialogues: do novices and experts of a product want different answers?

    python adapters/recquest.py --data "$GPA_DATA/recquest/dialogues.jsonl" --workspace recquest.gpa

Reads ``dialogues.jsonl`` (iai-group/crs-knowledge), writes it as our log, learns from it and
prints whatever came out, also when it is nothing. How the fields are taken:

* group: the user's self-rated ``expertise`` in the domain (novice, intermediate, expert);
  novices are compared with experts, and intermediates are in the log without being compared;
* intent: the ``domain`` (bicycle, laptop, smartwatch), because wording follows the domain;
* judgment: the 1-5 ``satisfaction`` is with the dialogue as a whole, and the data do not say which
  answer earned it. It is put on the last answered turns (``--last``, one by default): 4 and 5
  pleased, 1 and 2 displeased, 3 neither. What users say in between judges the other turns;
* person: a dialogue is one person's; the data name nobody.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpa_agent import Workspace
from gpa_agent.cli.learn import print_report

DOMAINS = {
    "bicycle": "Finding a bicycle to buy.",
    "laptop": "Finding a laptop to buy.",
    "smartwatch": "Finding a smartwatch to buy.",
}
NEITHER, PLEASED, DISPLEASED = 0, 1, -1


def judgment_of(satisfaction: int | None) -> int | None:
    """A rating of 1 to 5 as a judgment; None where there is no rating."""
    if satisfaction is None:
        return None
    return PLEASED if satisfaction >= 4 else DISPLEASED if satisfaction <= 2 else NEITHER


def convert(dialogue: dict[str, Any], *, last: int) -> dict[str, Any]:
    """A dialogue as a record of our log."""
    messages = [{"role": m["role"], "content": m["content"]} for m in dialogue["messages"]]
    judgment = judgment_of(dialogue.get("satisfaction"))
    if judgment is not None:
        answers = [m for m in messages if m["role"] == "assistant"]
        for message in answers[-last:]:
            message["judgment"] = judgment
    return {
        "id": f"recquest-{dialogue['id']}",
        "user": f"recquest-{dialogue['id']}",
        "group": dialogue["expertise"].lower(),
        "intent": dialogue["domain"],
        "messages": messages,
        "completed": dialogue.get("completed"),
    }


def converted(data: Path, *, last: int) -> Iterator[str]:
    """The lines of our log."""
    with data.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.dumps(convert(json.loads(line), last=last), ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="dialogues.jsonl")
    parser.add_argument("--workspace", type=Path, default=Path("recquest.gpa"))
    parser.add_argument("--log", type=Path, help="our log (default: recquest.jsonl beside it)")
    parser.add_argument("--last", type=int, default=1, help="answered turns that get the rating")
    parser.add_argument("--null", type=int, default=0, help="also learn on shuffled groups")
    args = parser.parse_args()
    log = args.log or args.workspace.with_name("recquest.jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(converted(args.data, last=args.last)), encoding="utf-8")
    with Workspace.open(args.workspace, groups=["novice", "expert"], intents=DOMAINS) as ws:
        ws.ingest(log)
        print_report(ws.learn())
        if args.null:
            print(f"items live on shuffled groups: {ws.learn_null(args.null)}")


if __name__ == "__main__":
    main()
