"""What was learned: runs with all they found, and versions of rubrics.

A rubric is never overwritten. Publishing adds a version and retires the one before;
restoring adds a version with an older one's body; both in one transaction, which also moves
the ``revision`` that servers watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from gpa_agent.errors import StoreError, UsageError
from gpa_agent.ledger.decisions import decide, decided, undecide
from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.rows import AspectRow, RunRow, StoredRubric
from gpa_agent.ledger.tables import aspects, contrasts, meta, rubric_versions, runs, turned
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

REVISION: Final = "revision"
"""Key in ``meta`` of the number that grows with each change of what is live."""

FORGET_EPOCH: Final = "forget_epoch"
"""Key in ``meta`` of the number that grows whenever a person is forgotten."""

_V: Final = rubric_versions.c


class ForgottenMeanwhile(StoreError):  # noqa: N818 -- reads as the fact it reports
    """What is to be stored was found with somebody who has been forgotten since."""


class ChangedMeanwhile(StoreError):  # noqa: N818 -- as above
    """A person, or another process, has changed a rubric since it was read."""


class Standing(NamedTuple):
    """How things stand with a rubric.

    Attributes:
        live: What is served; None where nothing ever was.
        held: Names of the aspects that a person keeps out.
        pinned: Names of those that a person keeps in.
    """

    live: StoredRubric | None
    held: frozenset[str]
    pinned: frozenset[str]


class Sighting(NamedTuple):
    """What one run said of one aspect.

    Attributes:
        began: When the run began, timezone-aware.
        at: When it was done.
        group: First-named group.
        other: Second group or ``*``.
        name: The aspect.
        status: What the run made of it.
        reason: Why it is not live, where it is not.
    """

    began: datetime
    at: datetime
    group: str
    other: str
    name: str
    status: str
    reason: str | None


class Learned(Store):
    """Runs, aspects and rubric versions."""

    def save_run(self, run: RunRow, *, epoch: int | None = None) -> None:
        """Store a run of learning with its contrasts and aspects.

        Args:
            run: The latest from now on; saved again under the same id, it replaces what was
                saved before.
            epoch: As for `publish`.

        Raises:
            ForgottenMeanwhile: As for `publish`.
        """
        with self._write() as connection:
            _check_epoch(connection, epoch)
            connection.execute(delete(runs).where(runs.c.id == run.id))
            last = connection.execute(select(func.max(runs.c.seq))).scalar()
            connection.execute(
                insert(runs),
                {
                    "id": run.id,
                    "seq": (last or 0) + 1,
                    "started": run.started,
                    "finished": run.finished,
                    "settings": dict(run.settings),
                    "summary": dict(run.summary),
                },
            )
            if run.contrasts:
                connection.execute(
                    insert(contrasts),
                    [
                        {
                            "run_id": run.id,
                            "intent": row.intent,
                            "group_name": row.group,
                            "other": row.other,
                            "tested": row.tested,
                            "summary": dict(row.summary),
                        }
                        for row in run.contrasts
                    ],
                )
            if run.aspects:
                connection.execute(
                    insert(aspects),
                    [
                        {
                            "run_id": run.id,
                            "intent": row.intent,
                            "group_name": row.group,
                            "other": row.other,
                            "name": row.name,
                            "status": row.status,
                            "body": dict(row.body),
                        }
                        for row in run.aspects
                    ],
                )

    def last_runs(self, count: int) -> list[tuple[str, frozenset[tuple[str, ...]]]]:
        """The latest runs: id, and (intent, group, other, name, status) of all they found.

        Args:
            count: How many at most.

        Returns:
            The latest first.
        """
        a = aspects.c
        with self._read() as connection:
            ids = connection.execute(select(runs.c.id).order_by(runs.c.seq.desc()).limit(count))
            return [
                (
                    run,
                    frozenset(
                        tuple(row)
                        for row in connection.execute(
                            select(a.intent, a.group_name, a.other, a.name, a.status).where(
                                a.run_id == run
                            )
                        )
                    ),
                )
                for run in ids.scalars().all()
            ]

    def aspects_of_latest(self) -> list[AspectRow]:
        """What the latest run found, whatever its status; empty before the first."""
        a = aspects.c
        statement = (
            select(a.intent, a.group_name, a.other, a.name, a.status, a.body)
            .where(a.run_id == _latest_run())
            .order_by(a.intent, a.group_name, a.other, a.name)
        )
        with self._read() as connection:
            return [AspectRow(*row) for row in connection.execute(statement)]

    def tested_contrasts(self) -> list[tuple[str, str, str]]:
        """(intent, group, other) of every contrast the latest run tested, sorted."""
        c = contrasts.c
        statement = (
            select(c.intent, c.group_name, c.other)
            .where(c.run_id == _latest_run(), c.tested > 0)
            .order_by(c.intent, c.group_name, c.other)
        )
        with self._read() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(statement)]

    def latest_version(self, intent: str, group: str, other: str) -> int:
        """Number of the newest version of a rubric; 0 where nothing was ever live."""
        statement = select(func.max(_V.version)).where(_of(intent, group, other))
        with self._read() as connection:
            return int(connection.execute(statement).scalar() or 0)

    def standing(self, intent: str, group: str, other: str) -> Standing:
        """What of a rubric is live now, and what people have decided about it."""
        with self._read() as connection:
            return _standing(connection, (intent, group, other))

    def publish(
        self,
        body: Mapping[str, Any],
        *,
        reason: str,
        epoch: int | None = None,
        expected: Standing | None = None,
        harmed: Collection[str] = (),
    ) -> StoredRubric:
        """Make a rubric live as the next version of its (intent, contrast).

        Args:
            body: ``Rubric.model_dump(mode="json")``; its version is set here.
            reason: Why, for the history.
            epoch: `forget_epoch` when what stands behind it was read; None where it was written
                by hand.
            expected: `standing` when it was decided; None where that does not matter.
            harmed: Aspects that are taken out because they please no more whom they pleased: it
                is noted when, and a person's word for them has had its day.

        Returns:
            The version that is live now.

        Raises:
            ForgottenMeanwhile: Somebody was forgotten since then; nothing was stored.
            ChangedMeanwhile: It does not stand as expected any more; nothing was stored.
        """
        contrast = body["contrast"]
        key = body["intent"], contrast["group"], contrast["other"]
        with self._write() as connection:
            _check_epoch(connection, epoch)
            if expected is not None and _standing(connection, key) != expected:
                raise ChangedMeanwhile(
                    f"the rubric of intent {key[0]!r} was changed while this ran, and stays as it "
                    "was changed; run it again"
                )
            undecide(connection, key, harmed)
            _turn(connection, key, harmed, at=self._clock())
            return self._append(connection, key, body, reason)

    def restore(
        self, *, intent: str, group: str, other: str = "*", version: int, reason: str = ""
    ) -> StoredRubric:
        """Make an earlier version live again, as a new version.

        It is a person's decision: what it has is pinned, what is live and it lacks is held.

        Raises:
            UsageError: There is no such version.
        """
        key = intent, group, other
        with self._write() as connection:
            old = connection.execute(_rubrics().where(_of(*key), _V.version == version)).first()
            if old is None:
                raise UsageError(
                    f"there is no version {version!r} of the rubric for intent {intent!r}, "
                    f"{group!r} against {other!r}; its history lists what there is"
                )
            before = _names(_standing(connection, key).live)
            reason = reason or f"version {version} restored"
            restored = self._append(connection, key, _stored(old).body, reason)
            decide(connection, key, before - _names(restored), "out", at=restored.created_at)
            decide(connection, key, _names(restored), "in", at=restored.created_at)
            return restored

    def history(self, *, intent: str, group: str, other: str = "*") -> list[StoredRubric]:
        """Every version of a rubric, oldest first."""
        statement = _rubrics().where(_of(intent, group, other)).order_by(_V.version)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(statement)]

    def versions(self, intent: str) -> list[StoredRubric]:
        """Every version of every rubric of an intent, oldest first."""
        ordered = _rubrics().where(_V.intent == intent).order_by(_V.created_at, _V.version)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(ordered)]

    def sightings(self, intent: str) -> list[Sighting]:
        """What every run said of every aspect of an intent, oldest first."""
        a = aspects.c
        said = (a.group_name, a.other, a.name, a.status, a.body["reason"].as_string())
        statement = (
            select(runs.c.started, runs.c.finished, *said)
            .join_from(aspects, runs, a.run_id == runs.c.id)
            .where(a.intent == intent)
            .order_by(runs.c.seq, a.group_name, a.other, a.name)
        )
        with self._read() as connection:
            return [Sighting(*row) for row in connection.execute(statement)]

    def live_rubrics(self) -> list[StoredRubric]:
        """The rubrics being served."""
        return self._list(_rubrics().where(_V.status == "live"))

    def last_summary(self) -> dict[str, Any]:
        """The summary of the latest run; empty where there was none."""
        statement = select(runs.c.summary).where(runs.c.id == _latest_run())
        with self._read() as connection:
            row = connection.execute(statement).first()
        return dict(row[0]) if row is not None else {}

    def revision(self) -> int:
        """Grows with each change of what is live; one indexed read."""
        with self._read() as connection:
            return int(
                connection.execute(select(meta.c.value).where(meta.c.key == REVISION)).scalar_one()
            )

    def _list(self, statement: Any) -> list[StoredRubric]:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
        ordered = statement.order_by(_V.intent, _V.group_name, _V.other)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(ordered)]

    def _append(
        self,
        connection: Connection,
        key: tuple[str, str, str],
        body: Mapping[str, Any],
        reason: str,
    ) -> StoredRubric:
        intent, group, other = key
        last = connection.execute(select(func.max(_V.version)).where(_of(*key))).scalar()
        version = (last or 0) + 1
        connection.execute(
            update(rubric_versions).where(_of(*key), _V.status == "live").values(status="retired")
        )
        stored = StoredRubric(
            intent,
            group,
            other,
            version,
            "live",
            self._clock(),
            reason,
            dict(body) | {"version": version},
        )
        row = stored._asdict()
        row["group_name"] = row.pop("group")
        connection.execute(insert(rubric_versions), row)
        bump(connection)
        return stored


def _latest_run() -> Any:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
    return select(runs.c.id).order_by(runs.c.seq.desc()).limit(1).scalar_subquery()


def _rubrics() -> Any:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
    return select(
        _V.intent,
        _V.group_name,
        _V.other,
        _V.version,
        _V.status,
        _V.created_at,
        _V.reason,
        _V.body,
    )


def _of(intent: str, group: str, other: str) -> Any:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
    return and_(_V.intent == intent, _V.group_name == group, _V.other == other)


def _stored(row: Row[Any]) -> StoredRubric:
    return StoredRubric._make(row)


def _standing(connection: Connection, key: tuple[str, str, str]) -> Standing:
    row = connection.execute(_rubrics().where(_of(*key), _V.status == "live")).first()
    return Standing(
        None if row is None else _stored(row),
        decided(connection, key, "out"),
        decided(connection, key, "in"),
    )


def _names(stored: StoredRubric | None) -> set[str]:
    return {a["name"] for a in stored.body["aspects"]} if stored else set()


def _turn(
    connection: Connection, key: tuple[str, str, str], names: Collection[str], *, at: datetime
) -> None:
    place = dict(zip(("intent", "group_name", "other"), key, strict=True))
    upsert(connection, turned, [place | {"name": name, "at": at} for name in sorted(names)])


def _check_epoch(connection: Connection, epoch: int | None) -> None:
    if epoch is None:
        return
    now = connection.execute(select(meta.c.value).where(meta.c.key == FORGET_EPOCH)).scalar()
    if int(now or 0) != epoch:
        raise ForgottenMeanwhile(
            "a person was forgotten while this ran, so what it found is not kept; run it again"
        )


def bump(connection: Connection) -> None:
    """Move the revision, so that every process reads what is served, and to whom, anew."""
    value = connection.execute(select(meta.c.value).where(meta.c.key == REVISION)).scalar_one()
    connection.execute(update(meta).where(meta.c.key == REVISION).values(value=str(int(value) + 1)))
