"""Reading a log: any source, any of our formats, one record at a time.

The format is found by looking at the first record that has one, or is named. A line that
cannot be used is passed on as a :class:`BadLine` with its reason and never stops the rest;
what makes the whole source unusable (cut compression, nothing in it) is an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from gpa_agent.conversations import chat, openai_chat, parquet, sharegpt, wildchat
from gpa_agent.conversations.fields import BadRecordError, as_name, kind
from gpa_agent.conversations.lines import MAX_LINE, Line, read_lines, take
from gpa_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from gpa_agent.conversations.records import Record

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total or None)."""

PROGRESS_EVERY: Final = 1000


class BadLine(NamedTuple):
    """A line that was skipped.

    Attributes:
        file: The source.
        line: Line (of Parquet: row) number, from 1.
        reason: Why, as an end of a sentence.
    """

    file: str
    line: int
    reason: str


class _Format(NamedTuple):
    looks_like: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any]], Record]


FORMATS: Final[Mapping[str, _Format]] = {
    "wildchat": _Format(wildchat.looks_like, wildchat.read),
    "sharegpt": _Format(sharegpt.looks_like, sharegpt.read),
    "openai": _Format(openai_chat.looks_like, openai_chat.read),
    "gpa": _Format(chat.looks_like, chat.read),
}
"""The formats by name, in the order in which they are tried."""


def read_log(
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 -- the name the command line uses
    group_by: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Record | BadLine]:
    """Read a log of conversations and preference pairs, in constant memory.

    Args:
        source: A path, ``-`` for standard input, or an open binary stream (left open).
            Plain or gzip JSON Lines, or Parquet; told by the content, not by the name.
        format: A name of :data:`FORMATS`; None to find it by looking.
        group_by: A metadata field whose text becomes the group (``"country"``); records
            without it have no group.
        progress: Told how many lines were read, now and then.

    Returns:
        Records and the lines that could not be used, in the order of the source.

    Raises:
        UsageError: The format is not known, or the path is missing or a folder.
        MissingDependency: It is Parquet and pyarrow is not installed.
        DataError: (While iterating.) Cut or damaged compression, an unreadable file, or not
            one usable record.

    Example:
        >>> import io
        >>> log = io.BytesIO(b'{"messages": [{"role": "user", "content": "hi"}]}')
        >>> [record.turns[0].user for record in read_log(log)]
        ['hi']
    """
    _check(source, format)
    return (record for _, record in _read(source, format, group_by, progress))


def read_located(
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 -- the word users know from other tools
    group_by: str | None = None,
) -> Iterator[tuple[int, Record | BadLine]]:
    """As `read_log`, each record with the number of its line (or row) in the source."""
    _check(source, format)
    return _read(source, format, group_by, None)


def _check(source: str | Path | BinaryIO, format_name: str | None) -> None:
    if format_name is not None and format_name not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise UsageError(f"unknown format {format_name!r}; expected one of {known}")
    if isinstance(source, (str, Path)):
        if source != "-":
            _check_path(Path(source))
    elif not hasattr(source, "read"):
        raise UsageError(
            f"a log is a path, '-' or a binary stream, not {type(source).__name__}; "
            "write records to a file, one JSON object a line"
        )


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder; give a log file in it")
    if not path.exists():
        raise UsageError(f"there is no file {str(path)!r}; check the path")


def _read(
    source: str | Path | BinaryIO,
    format_name: str | None,
    group_by: str | None,
    progress: Progress | None,
) -> Iterator[tuple[int, Record | BadLine]]:
    used, first_bad, done = 0, None, 0
    form = FORMATS[format_name] if format_name else None
    with _opened(source) as (stream, name):
        for number, raw in _raw_records(stream, name):
            done += 1
            if progress and done % PROGRESS_EVERY == 0:
                progress("read", done, None)
            try:
                usable = _usable(raw)
                form = form or _found(usable)
                record = form.read(usable)
                record = _grouped(record, group_by) if group_by else record
            except BadRecordError as exc:
                bad = BadLine(name, number, str(exc))
                first_bad = first_bad or bad
                yield number, bad
            else:
                used += 1
                yield number, record
    if progress:
        progress("read", done, done)
    if not used:
        raise _nothing(name, first_bad)


def _nothing(name: str, first_bad: BadLine | None) -> DataError:
    if first_bad is None:
        return DataError(f"{name}: is empty; expected one conversation or preference pair a line")
    return DataError(
        f"{name}: holds no usable record; line {first_bad.line}: {first_bad.reason}. "
        f"Known formats: {', '.join(sorted(FORMATS))}"
    )


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Generator[tuple[IO[bytes], str]]:
    if not isinstance(source, (str, Path)):
        yield source, str(getattr(source, "name", "<stream>"))
    elif source == "-":
        yield sys.stdin.buffer, "<stdin>"
    else:
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(Path(source).open("rb"))
            except OSError as exc:
                raise DataError(f"{str(source)!r} cannot be read ({exc.strerror})") from exc
            yield stream, str(source)


def _raw_records(stream: IO[bytes], name: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The objects of the source with their numbers; a text is the reason why one is not."""
    try:
        head = take(stream, len(parquet.MAGIC))
    except OSError as exc:
        raise DataError(f"{name}: could not be read ({exc})") from exc
    if head == parquet.MAGIC:
        yield from enumerate(parquet.read_rows(stream, name), start=1)
        return
    for line in read_lines(head, stream, name):
        if line.data is None or line.data.strip():
            yield line.number, _parsed(line)


def _parsed(line: Line) -> dict[str, Any] | str:
    if line.data is None:
        return f"is longer than {MAX_LINE // 2**20} MiB"
    try:
        value = json.loads(
            line.data.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as exc:
        return _json_reason(line.data, exc)
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return "is a JSON array; expected one object a line (jq -c '.[]' makes them)"
    return f"is {kind(value)}; expected an object"


def _json_reason(data: bytes, exc: ValueError | RecursionError) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return _encoding_reason(data, exc)
    if isinstance(exc, RecursionError):
        return "is nested too deeply"
    if not isinstance(exc, json.JSONDecodeError):  # "NaN", "1e999", thousands of digits
        return f"holds a number that cannot be used ({str(exc)[:80]})"
    if b"\x00" in data:
        return "holds NUL bytes: it is UTF-16 or damaged; save the file as UTF-8"
    if data.strip() in (b"[", b"{"):
        return "begins JSON of several lines; expected one object a line (jq -c '.[]' makes them)"
    return f"is not JSON or is cut short ({exc.msg} at column {exc.colno})"


def _encoding_reason(data: bytes, exc: UnicodeDecodeError) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data
    guess = "UTF-16" if utf16 else "Latin-1 or Windows-1252"
    return f"is not UTF-8 (byte {exc.start + 1}; perhaps {guess}); save the file as UTF-8"


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is out of range")
    return number


def _usable(raw: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(raw, str):
        raise BadRecordError(raw)
    return raw


def _found(raw: Mapping[str, Any]) -> _Format:
    for form in FORMATS.values():
        if form.looks_like(raw):
            return form
    shown = ", ".join(sorted(map(repr, raw))[:6]) or "nothing"
    raise BadRecordError(f"is in no known format (it has the fields {shown:.200})")


def _grouped(record: Record, field: str) -> Record:
    if field in ("group", "intent"):
        value = record.group if field == "group" else record.intent
    else:
        value = record.metadata.get(field)
    return replace(record, group=as_name(value, field) if isinstance(value, str) else None)
