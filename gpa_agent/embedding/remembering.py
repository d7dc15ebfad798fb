"""An encoder that remembers the last few texts.

In one turn the same text is read for its intent and for its user's group, at the same time in two
threads where the graph runs them side by side; a sentence costs several milliseconds to encode, so
the second asker waits for the first one's vector. Only small requests are remembered, so
that learning from a log neither fills nor empties the memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding.protocol import TextEncoder

_SMALL = 4
"""Requests of more texts than this pass through."""


class RememberingEncoder:
    """A `TextEncoder` in front of another, with a memory of the last texts.

    Args:
        inner: What encodes.
        size: How many texts are remembered; the least recently asked goes first.
    """

    def __init__(self, inner: TextEncoder, *, size: int = 128) -> None:
        self.name = inner.name
        self.dim = inner.dim
        self.origin = inner.origin
        self._inner = inner
        self._size = size
        self._memory: OrderedDict[str, Future[NDArray[np.float32]]] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts as an (n, dim) array of L2-normalised rows; safe from several threads."""
        if not 0 < len(texts) <= _SMALL:
            return self._inner.encode(texts)
        return np.stack([self._encoded(text) for text in texts])

    def _encoded(self, text: str) -> NDArray[np.float32]:
        """A text's vector: remembered, being made by another thread, or made now."""
        with self._lock:
            made = self._memory.get(text)
            mine = made is None
            if made is None:
                made = self._memory[text] = Future[NDArray[np.float32]]()
                while len(self._memory) > self._size:
                    self._memory.popitem(last=False)
            self._memory.move_to_end(text)
        if mine:
            try:
                made.set_result(self._inner.encode([text])[0])
            except BaseException as error:
                # Whoever waits fails too, and the next one asks again.
                made.set_exception(error)
                with self._lock:
                    self._memory.pop(text, None)
                raise
        return made.result()
