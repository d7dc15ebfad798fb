"""Lines of a byte stream in bounded memory, through gzip or not.

A line over the limit is read past piece by piece and reported, never held. Compression is
told by its magic bytes, not by the file's name, and needs no seeking, so pipes work.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from gpa_agent.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

MAX_LINE: Final = 8 * 1024 * 1024
"""Bytes a line may have."""

GZIP_MAGIC: Final = b"\x1f\x8b"
_PIECE: Final = 64 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line.

    Attributes:
        number: From 1.
        data: Its bytes without the line's end; None where it was over the limit.
    """

    number: int
    data: bytes | None


class Rejoined(io.RawIOBase):
    """A stream whose first bytes were already taken, as if they had not been.

    Closing it leaves the stream open: it belongs to who opened it.

    Args:
        head: The bytes taken.
        stream: The rest.
    """

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        super().__init__()
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer with the next bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._head:
            data, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


def take(stream: IO[bytes], size: int) -> bytes:
    """The first bytes of a stream, all of them even if they come in drops."""
    head = b""
    while len(head) < size and (piece := stream.read(size - len(head))):
        head += piece
    return head


def read_lines(head: bytes, stream: IO[bytes], name: str) -> Iterator[Line]:
    """Read the lines of a stream.

    Args:
        head: Its first bytes, already taken.
        stream: The rest.
        name: What to call it in messages.

    Raises:
        DataError: Compressed data is damaged or cut short, or the stream cannot be read.
    """
    plain: io.BufferedIOBase = io.BufferedReader(Rejoined(head, stream), _PIECE)
    if head.startswith(GZIP_MAGIC):
        plain = gzip.GzipFile(fileobj=plain)
    number = 0
    try:
        while (data := plain.readline(MAX_LINE + 1)) != b"":
            number += 1
            if len(data) > MAX_LINE and not data.endswith(b"\n"):
                while (data := plain.readline(_PIECE)) and not data.endswith(b"\n"):
                    pass
                yield Line(number, None)
                continue
            if number == 1:
                data = data.removeprefix(_BOM)
            yield Line(number, data.rstrip(b"\r\n"))
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise DataError(
            f"{name}:{number + 1}: the gzip data is damaged or cut short ({exc}); "
            "copy or download the file again"
        ) from exc
    except OSError as exc:
        raise DataError(f"{name}:{number + 1}: could not be read ({exc})") from exc
