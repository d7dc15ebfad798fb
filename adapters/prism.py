"""PRISM preference pairs: do groups of people prefer different answers?

    python adapters/prism.py --data "$GPA_DATA/prism/pairs.jsonl" --by gender --workspace prism.gpa

Reads ``pairs.jsonl`` (dong-river/Personalized-Judge, from the PRISM project), writes it as
preference pairs in our log, learns from them and prints whatever came out. ``--by`` says what
makes a group:

* ``gender``: women against men; others are in the log without being compared;
* ``education``: with a university degree against without;
* ``age``: under 25 against 25 and over;
* ``conversation_type``: conversations on controversial topics against all other talk.

Expect nothing for the first three (most ways to split people show no difference, and silence
is then the right answer) and "fewer lists" for the last. The profile text stands for the
person: two people with the same profile count as one, which is on the careful side.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpa_agent import Workspace
from gpa_agent.cli.learn import print_report

Row = dict[str, Any]


def gender(row: Row) -> str | None:
    """Woman or man, where the profile says so."""
    found = re.search(r"The person is (female|male)\.", row["user_profile"])
    return found[1] if found else None


def education(row: Row) -> str | None:
    """With or without a university degree, where the profile says so."""
    found = re.search(r"highest education level is ([^.]+)\.", row["user_profile"])
    if found is None:
        return None
    degree = {"university bachelors degree", "graduate / professional degree"}
    return "degree" if found[1] in degree else "no degree"


def age(row: Row) -> str | None:
    """Under 25 or not, where the profile says so."""
    found = re.search(r"The person is (\d+)\D[^.]*years old\.", row["user_profile"])
    if found is None:
        return None
    return "under 25" if int(found[1]) < 25 else "25 and over"


def conversation_type(row: Row) -> str:
    """Whether the talk was on a controversial topic."""
    return "controversial" if row["conversation_type"] == "controversy guided" else "other talk"


SPLITS: dict[str, tuple[Callable[[Row], str | None], tuple[str, str]]] = {
    "gender": (gender, ("female", "male")),
    "education": (education, ("degree", "no degree")),
    "age": (age, ("under 25", "25 and over")),
    "conversation_type": (conversation_type, ("controversial", "other talk")),
}
"""How to tell the group, and which two groups are compared."""


def convert(row: Row, number: int, *, by: str) -> Row:
    """A pair as a record of our log."""
    group = SPLITS[by][0](row)
    record = {
        "id": f"prism-{number}",
        "user": hashlib.sha256(row["user_profile"].encode()).hexdigest()[:16],
        "prompt": [{"role": "user", "content": row["question"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
    return record if group is None else {**record, "group": group}


def converted(data: Path, *, by: str) -> Iterator[str]:
    """The lines of our log."""
    with data.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if line.strip():
                record = convert(json.loads(line), number, by=by)
                yield json.dumps(record, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="pairs.jsonl")
    parser.add_argument("--by", choices=list(SPLITS), default="conversation_type")
    parser.add_argument("--workspace", type=Path, default=Path("prism.gpa"))
    parser.add_argument("--log", type=Path, help="our log (default: beside the workspace)")
    parser.add_argument("--null", type=int, default=0, help="also learn on shuffled groups")
    args = parser.parse_args()
    log = args.log or args.workspace.with_name(f"prism-{args.by}.jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(converted(args.data, by=args.by)), encoding="utf-8")
    with Workspace.open(args.workspace, groups=SPLITS[args.by][1]) as ws:
        # Some chosen and rejected answers are the same text; such a pair says nothing.
        ws.ingest(log, max_bad=0.05)
        print_report(ws.learn())
        if args.null:
            print(f"items live on shuffled groups: {ws.learn_null(args.null)}")


if __name__ == "__main__":
    main()
