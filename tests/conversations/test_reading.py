from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from typing import IO, TYPE_CHECKING, Any

import pytest

from gpa_agent.conversations import BadLine, Conversation, Record, read_log
from gpa_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PEAKS = """
import sys, tracemalloc
from gpa_agent.conversations import read_log
path, lines = sys.argv[1], int(sys.argv[2])
peaks = []
# The first round fills the interpreter's own caches and is not compared.
for count in (1_000, 1_000, lines):
    records = read_log(path)
    tracemalloc.start()
    for _, _record in zip(range(count), records, strict=False):
        pass
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
print(*peaks[1:])
"""

GOOD = json.dumps(
    {"messages": [{"role": "user", "content": "Grüße"}, {"role": "assistant", "content": "hi"}]},
    ensure_ascii=False,
)


def bad_lines(data: bytes) -> list[tuple[int, str]]:
    """Bad lines of a log that ends with a good line."""
    found = list(read_log(io.BytesIO(data + b"\n" + GOOD.encode())))
    assert isinstance(found[-1], Conversation)
    return [(item.line, item.reason) for item in found if isinstance(item, BadLine)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"messages": [{"role": "us', "not JSON or is cut short"),
        (b"not json", "not JSON or is cut short"),
        (b"[1, 2]", "a JSON array"),
        (b'"text"', "is text; expected an object"),
        (b"null", "is null; expected an object"),
        # 14 of the outer object, 17 of the role, 12 before the text, "Gr": the next is byte 46
        (GOOD.encode("latin-1"), "not UTF-8 (byte 46; perhaps Latin-1"),
        (b'{"messages": \x00 []}', "NUL bytes"),
        (b'{"messages": [], "x": NaN}', "NaN"),
        (b'{"messages": [], "x": 1e999}', "out of range"),
        (b'{"messages": [], "x": ' + b"9" * 5000 + b"}", "a number that cannot be used"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"x": 1}', "in no known format (it has the fields 'x')"),
    ],
)
def test_a_line_that_cannot_be_used_is_counted_with_its_reason(line: bytes, said: str) -> None:
    ((number, reason),) = bad_lines(line)
    assert number == 1
    assert said in reason


def test_metadata_nested_beyond_reason_is_a_bad_line() -> None:
    nested = '{"messages": [{"role": "user", "content": "x"}], "m": ' + "[" * 99 + "]" * 99 + "}"
    ((_, reason),) = bad_lines(nested.encode())
    assert "levels deep" in reason


def test_line_numbers_count_blank_lines_which_are_no_records() -> None:
    assert [number for number, _ in bad_lines(b"\n\n  \nnope\r\n\nnope")] == [4, 6]


def test_utf16_is_named_and_nothing_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}", encoding="utf-16")
    with pytest.raises(DataError, match=r"log\.jsonl: holds no usable record; line 1: .*UTF-16"):
        list(read_log(path))


def test_a_byte_order_mark_is_passed_over() -> None:
    (record,) = read_log(io.BytesIO(b"\xef\xbb\xbf" + GOOD.encode()))
    assert isinstance(record, Conversation)


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_log_is_an_error(data: bytes) -> None:
    with pytest.raises(DataError, match="is empty"):
        list(read_log(io.BytesIO(data)))


def test_a_log_without_one_usable_record_says_what_is_wrong_first() -> None:
    log = read_log(io.BytesIO(b"nope\nnope"))
    assert [item.line for item in (next(log), next(log)) if isinstance(item, BadLine)] == [1, 2]
    with pytest.raises(DataError, match=r"no usable record; line 1: .*Known formats: gpa, openai"):
        next(log)


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"  # no .gz
    path.write_bytes(gzip.compress(f"{GOOD}\n{GOOD}\n".encode()))
    assert [type(r) for r in read_log(path)] == [Conversation, Conversation]


def test_gzip_cut_short_names_file_and_line(tmp_path: Path) -> None:
    lines = "\n".join(
        json.dumps({"messages": [{"role": "user", "content": f"{i * 7919 % 10007} {i}"}]})
        for i in range(5000)
    )
    whole = gzip.compress(lines.encode())
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    found: list[Record | BadLine] = []

    def read() -> None:
        for record in read_log(path):
            found.append(record)  # noqa: PERF402 -- what came before the error counts

    with pytest.raises(DataError, match=r"cut\.gz:(\d+): the gzip data .* cut short") as caught:
        read()
    assert 1000 < len(found) < 5000
    assert int(str(caught.value).split("cut.gz:")[1].split(":")[0]) == len(found) + 1


def test_a_50_mb_line_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(GOOD.encode() + b'\n{"messages": "')
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + GOOD.encode() + b"\n")
    tracemalloc.start()
    first, long, last = read_log(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(first, Conversation)
    assert isinstance(last, Conversation)
    assert long == BadLine(str(path), 2, "is longer than 8 MiB")
    # The limit is 8 MiB; a read of that length joins pieces, so twice that may be held.
    assert peak < 24 * 2**20


@pytest.mark.parametrize("lines", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_is_constant_however_many_lines(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "many.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(lines):
            file.write(f'{{"id": {i}, "messages": [{{"role": "user", "content": "question"}}]}}\n')
    # A process of its own: threads that other tests have left would allocate in between.
    done = subprocess.run(
        [sys.executable, "-c", _PEAKS, str(path), str(lines)],
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = map(int, done.stdout.split())
    assert long < short + lines  # bytes: one a line would already show


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drops(io.BytesIO):
        """A pipe that gives one byte at a time."""

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(1, size or 0) if size and size > 0 else size)

        def seekable(self) -> bool:
            return False

    class Stdin:
        buffer = Drops(gzip.compress(GOOD.encode()))

    monkeypatch.setattr("sys.stdin", Stdin())
    (record,) = read_log("-")
    assert isinstance(record, Conversation)


def test_parquet_from_a_pipe_says_what_to_do() -> None:
    pytest.importorskip("pyarrow")

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(DataError, match="cannot be read from a pipe; save it"):
        list(read_log(Pipe(b"PAR1....")))


def test_a_stream_of_the_caller_stays_open() -> None:
    stream = io.BytesIO(GOOD.encode())
    list(read_log(stream))
    assert not stream.closed


def test_misuse_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file '.*absent\.jsonl'"):
        read_log(tmp_path / "absent.jsonl")
    with pytest.raises(UsageError, match="is a folder"):
        read_log(tmp_path)
    with pytest.raises(UsageError, match="'xml'; expected one of gpa, openai, sharegpt, wildchat"):
        read_log("x.jsonl", format="xml")


def test_a_source_that_fails_while_read_is_an_error_with_its_line() -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= len(GOOD.encode()):
                raise OSError(5, "Input/output error")
            return super().read(size)

    torn: IO[bytes] = Torn(GOOD.encode() + b"\n")
    with pytest.raises(DataError, match=r"<stream>:\d: could not be read"):
        list(read_log(torn))  # type: ignore[arg-type]  # an IO is as good as a BinaryIO here


def test_progress_is_told_and_ends_at_the_total() -> None:
    told: list[tuple[str, int, int | None]] = []

    def lines() -> Iterator[bytes]:
        for _ in range(2500):
            yield GOOD.encode()

    def progress(stage: str, done: int, total: int | None) -> Any:
        told.append((stage, done, total))

    list(read_log(io.BytesIO(b"\n".join(lines())), progress=progress))
    assert told == [("read", 1000, None), ("read", 2000, None), ("read", 2500, 2500)]
