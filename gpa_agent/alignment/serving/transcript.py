"""The text of one answer as its tokens come: what can be shown already, and where it stops.

Two things are held back: bytes that are not a whole character yet (a tokenizer's piece may end
inside of one), and text that may turn out to begin a stop string. What was shown, joined, is the
answer's text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

_UNFINISHED: Final = "\ufffd"
"""What a tokenizer decodes bytes to that are no whole character."""


class Transcript:
    """One answer, growing.

    Args:
        decode: Text of token ids, without special tokens.
        stop: The answer ends before the first of these; none of them is shown.
        live: Whether text is wanted as it comes. Without it, and without `stop`, tokens are only
            decoded at the end, which is much cheaper.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], *, stop: Sequence[str] = (), live: bool = True
    ) -> None:
        self._decode = decode
        self._stop = stop
        self._live = live or bool(stop)
        self._tokens: list[int] = []
        self._start = 0  # of the tokens that the next text is decoded with, for its context
        self._read = 0  # tokens whose text is known
        self._shown: list[str] = []
        self._held = ""
        self.stopped = False
        """Whether a stop string was met."""

    @property
    def text(self) -> str:
        """All that was shown."""
        return "".join(self._shown)

    def add(self, token: int) -> str:
        """Take the next token.

        Args:
            token: Its id.

        Returns:
            What can be shown now; often nothing.
        """
        self._tokens.append(token)
        return self._show(self._new_text(last=False)) if self._live else ""

    def finish(self) -> str:
        """Take no more tokens.

        Returns:
            What was still held back.
        """
        rest = "" if self.stopped else self._show(self._new_text(last=True))
        held, self._held = self._held, ""
        self._shown.append(held)
        return rest + held

    def _new_text(self, *, last: bool) -> str:
        known = self._decode(self._tokens[self._start : self._read])
        now = self._decode(self._tokens[self._start :])
        if not last and now.endswith(_UNFINISHED):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return now[len(known) :]

    def _show(self, new: str) -> str:
        text = self._held + new
        met = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if met:
            self.stopped = True
            shown, self._held = text[: min(met)], ""
        else:
            kept = max((_overlap(text, stop) for stop in self._stop), default=0)
            shown, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self._shown.append(shown)
        return shown


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of a text that a stop string may begin with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
