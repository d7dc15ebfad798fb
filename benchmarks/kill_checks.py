"""What must be true of a workspace whose processes were killed, at any moment and often.

No acknowledged turn, thumb or log is lost, and nothing is stored or learned twice: beside it a
second workspace takes the same turns, logs and thumbs in peace, and both must come to the same
judgments, labels, preferences and measurements, and weigh the same people and turns. Every rubric
version is whole, versions follow each other without a gap, the last one is live, and each turn was
served what the version that it names says.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.killed_app import Engine, Said, log, open_workspace
from gpa_agent.conversations.normalise import clean_text
from gpa_agent.conversations.records import Judgment, Label
from gpa_agent.rubrics.records import Rubric

_SAME = {
    "judgments": "conversation_id, idx, kind, judgment, confidence, source",
    "labels": "subject, subject_id, kind, value, source",
    "preferences": "id, subject, subject_id, idx, polarity, expectation, reason, source",
    "measurements": "stage, input_id, key, value",
}
"""What both workspaces must hold, by the name it goes by."""
_FROM = {"measurements": "stage_results WHERE stage = 'traits'"}


def faults(
    folder: Path,
    engine: Engine,
    answered: Mapping[str, Said],
    thumbs: Mapping[str, Said],
    logs: set[int],
) -> list[str]:
    """Everything that is not as it must be; the workspace is closed and all its events are done.

    Args:
        folder: The workspace.
        engine: Which engine learned.
        answered: Acknowledged turns, by key.
        thumbs: Acknowledged thumbs, by conversation.
        logs: Acknowledged logs.
    """
    with closing(_open(folder)) as ledger:
        found = [
            *_damage(ledger),
            *_lost_turns(ledger, answered),
            *_lost_thumbs(ledger, thumbs),
            *_lost_logs(ledger, logs, engine),
            *_waiting(ledger),
            *(_half_versions(ledger) or _served_otherwise(ledger)),
        ]
        with tempfile.TemporaryDirectory() as scratch:
            twin = Path(scratch) / "twin"
            _in_peace(ledger, twin, engine, logs)
            with closing(_open(twin)) as other:
                found += _differences(ledger, other, engine)
    return found


def _open(folder: Path) -> sqlite3.Connection:
    ledger = sqlite3.connect(f"file:{folder / 'ledger.sqlite'}?mode=ro", uri=True)
    ledger.row_factory = sqlite3.Row
    return ledger


def _damage(ledger: sqlite3.Connection) -> Iterator[str]:
    for pragma in ("integrity_check", "foreign_key_check"):
        said = [tuple(row) for row in ledger.execute(f"PRAGMA {pragma}")]
        if said not in ([], [("ok",)]):
            yield f"{pragma}: {said[:3]}"


def _lost_turns(ledger: sqlite3.Connection, answered: Mapping[str, Said]) -> Iterator[str]:
    stored = {
        (row["conversation_id"], row["key"]): row["user_text"]
        for row in ledger.execute("SELECT conversation_id, key, user_text FROM turns")
    }
    for key, said in answered.items():
        if stored.get((said.subject, key)) != clean_text(said.said):
            yield f"the acknowledged turn {key} is lost or changed"
    live = ledger.execute(
        "SELECT conversation_id, group_concat(idx) AS numbers FROM "
        "(SELECT * FROM turns ORDER BY conversation_id, idx) GROUP BY conversation_id"
    )
    for row in live:
        numbers = [int(n) for n in row["numbers"].split(",")]
        if numbers != list(range(len(numbers))):
            yield f"the turns of {row['conversation_id']} are numbered {numbers}"


def _lost_thumbs(ledger: sqlite3.Connection, thumbs: Mapping[str, Said]) -> Iterator[str]:
    for conversation, said in thumbs.items():
        turn, judgment = (int(part) for part in said.key.split(":"))
        row = ledger.execute(
            "SELECT judgment FROM judgments "
            "WHERE conversation_id = ? AND idx = ? AND kind = 'explicit'",
            (conversation, turn),
        ).fetchone()
        if row is None or row["judgment"] != judgment:
            yield f"the acknowledged thumb of {conversation} is lost or changed"


def _lost_logs(ledger: sqlite3.Connection, logs: set[int], engine: Engine) -> Iterator[str]:
    ids = {row["id"] for row in ledger.execute("SELECT id FROM conversations")}
    for number in range(max(logs, default=-1) + 2):
        of_log = {json.loads(line)["id"] for line in log(number, engine)}
        if number in logs and not of_log <= ids:
            yield f"of the acknowledged log {number}, {len(of_log - ids)} records are lost"
        elif 0 < len(of_log & ids) < len(of_log):
            yield f"of log {number} a part is stored: {len(of_log & ids)} of {len(of_log)} records"


def _waiting(ledger: sqlite3.Connection) -> Iterator[str]:
    states = dict(ledger.execute("SELECT state, count(*) FROM events GROUP BY state").fetchall())
    if set(states) - {"done"}:
        yield f"events that are not done: {states}"
    without = ledger.execute(
        "SELECT count(*) FROM turns t JOIN conversations c ON c.id = t.conversation_id "
        "WHERE c.source = 'live' AND NOT EXISTS (SELECT 1 FROM events e "
        "WHERE e.conversation_id = t.conversation_id AND e.idx = t.idx AND e.kind = 'turn')"
    ).fetchone()[0]
    if without:
        yield f"{without} turns without their event"


def _half_versions(ledger: sqlite3.Connection) -> list[str]:
    found: list[str] = []
    rows = ledger.execute(
        "SELECT intent, group_name, other, version, status, body FROM rubric_versions "
        "ORDER BY intent, group_name, other, version"
    ).fetchall()
    for place, versions in groupby(rows, key=_place):
        some = list(versions)
        if [row["version"] for row in some] != list(range(1, len(some) + 1)):
            found.append(f"versions of {place}: {[row['version'] for row in some]}")
        if [row["status"] for row in some] != ["retired"] * (len(some) - 1) + ["live"]:
            found.append(f"not the last version of {place} alone is live")
        for row in some:
            try:
                rubric = Rubric.model_validate_json(row["body"])
            except ValidationError as error:
                found.append(f"version {row['version']} of {place} is not whole: {error}")
            else:
                if rubric.version != row["version"] or rubric.intent != row["intent"]:
                    found.append(f"version {row['version']} of {place} says it is another")
    return found


def _place(row: sqlite3.Row) -> tuple[str, str, str]:
    return row["intent"], row["group_name"], row["other"]


def _served_otherwise(ledger: sqlite3.Connection) -> Iterator[str]:
    versions = {
        (row["intent"], row["version"]): Rubric.model_validate_json(row["body"])
        for row in ledger.execute("SELECT intent, version, body FROM rubric_versions")
    }
    for row in ledger.execute("SELECT key, served FROM turns WHERE served IS NOT NULL"):
        served = json.loads(row["served"])
        if served["rubric_version"] is None:
            continue
        rubric = versions.get((served["intent"], served["rubric_version"]))
        said = [a.name for a in rubric.aspects if a.guidance.get(served["group"])] if rubric else []
        if rubric is None or (served["mode"] == "context" and served["aspects"] != said):
            yield f"turn {row['key']} was served {served['aspects']}, its version says {said}"


def _in_peace(
    ledger: sqlite3.Connection,
    folder: Path,
    engine: Engine,
    logs: set[int],
) -> None:
    """Give another workspace the same turns, logs and thumbs, and work them off once."""
    stored = ledger.execute(
        "SELECT t.*, c.person, c.group_name, c.intent FROM turns t "
        "JOIN conversations c ON c.id = t.conversation_id WHERE c.source = 'live' "
        "ORDER BY t.at, t.conversation_id, t.idx"
    )
    taken = {row["id"] for row in ledger.execute("SELECT id FROM conversations")}
    with open_workspace(folder, engine) as ws:
        for row in stored:
            ws.ledger.record_turn(
                conversation=row["conversation_id"],
                key=row["key"],
                user=row["user_text"],
                assistant=row["assistant_text"],
                person=row["person"],
                group=Label(row["group_name"], 1.0, "context"),
                intent=Label(row["intent"], 1.0, "context"),
                served=json.loads(row["served"]),
                at=datetime.fromisoformat(row["at"]).replace(tzinfo=UTC),
            )
        for number in range(max(logs, default=-1) + 2):
            if json.loads(next(iter(log(number, engine))))["id"] in taken:
                ws.ingest(log(number, engine))
        for row in ledger.execute(
            "SELECT j.conversation_id, j.idx, j.judgment FROM judgments j "
            "JOIN conversations c ON c.id = j.conversation_id "
            "WHERE j.kind = 'explicit' AND c.source = 'live'"
        ):
            ws.feedback(
                conversation=row["conversation_id"],
                turn=row["idx"],
                judgment=Judgment(row["judgment"]),
            )
        ws.learn()


def _differences(
    ledger: sqlite3.Connection, other: sqlite3.Connection, engine: Engine
) -> Iterator[str]:
    for name, columns in _SAME.items():
        query = f"SELECT {columns} FROM {_FROM.get(name, name)}"
        ours, theirs = (
            sorted(map(repr, (tuple(row) for row in db.execute(query)))) for db in (ledger, other)
        )
        if ours != theirs:
            only, missing = set(ours) - set(theirs), set(theirs) - set(ours)
            yield (
                f"{name}: {len(ours)} against {len(theirs)} in peace; only here: "
                f"{sorted(only)[:2]}; only there: {sorted(missing)[:2]}"
            )
    # A model finds its claims in what it is shown first, and where an item was found to do harm the
    # judgments before count no more: what is weighed may then differ by history.
    turned = ledger.execute("SELECT count(*) FROM turned").fetchone()[0]
    if engine == "embedded" and not turned:
        weighed = [_weighed(db) for db in (ledger, other)]
        if weighed[0] != weighed[1]:
            yield f"people and turns weighed: {weighed[0]} against {weighed[1]} in peace"


def _weighed(ledger: sqlite3.Connection) -> dict[Any, Any]:
    """People and turns behind each contrast of the last run."""
    rows = ledger.execute(
        "SELECT intent, group_name, other, summary FROM contrasts WHERE run_id = "
        "(SELECT id FROM runs ORDER BY started DESC LIMIT 1)"
    )
    return {tuple(row)[:3]: json.loads(row["summary"]) for row in rows}
