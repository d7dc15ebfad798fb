"""What goes wrong under the training libraries, in our own errors.

Each of them writes files its own way, and a full disk comes out of each as something else.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from gpa_agent.errors import GPAError, ModelError, StoreError

_OF_THE_DISK: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EIO}
)
_SAID_OF_THE_DISK: Final = (
    "no space left",
    "file too large",
    "file write failed",  # torch.save
    "inline_container.cc",  # torch.save, when it closes a file it could not write
)
_SAID_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")


@contextmanager
def mapped(doing: str) -> Generator[None]:
    """Map what a library raises to what the package raises on purpose.

    Args:
        doing: What is done, as in "while ...".

    Raises:
        StoreError: Something could not be written; nothing half-written counts.
        ModelError: Memory did not suffice.
    """
    try:
        yield
    except GPAError:
        raise
    except Exception as exc:
        ours = _ours(exc, doing)
        if ours is None:
            raise
        raise ours from exc


def _ours(exc: Exception, doing: str) -> GPAError | None:
    said = str(exc).lower()
    if (isinstance(exc, OSError) and exc.errno in _OF_THE_DISK) or _mentions(
        said, _SAID_OF_THE_DISK
    ):
        return StoreError(
            f"cannot write while {doing}: {_short(exc)}; free some space or check permissions, "
            "and run it again: it goes on from what is whole"
        )
    if isinstance(exc, MemoryError) or _mentions(said, _SAID_OF_MEMORY):
        return ModelError(
            f"not enough memory while {doing}; lower batch_size (and raise accumulate by as "
            "much) or max_length, or take a smaller base"
        )
    return None


def _mentions(said: str, words: tuple[str, ...]) -> bool:
    return any(word in said for word in words)


def _short(exc: Exception) -> str:
    """The reason alone: paths and texts of libraries run on for lines."""
    strerror = exc.strerror if isinstance(exc, OSError) else None
    return strerror or str(exc).splitlines()[0][:120]
