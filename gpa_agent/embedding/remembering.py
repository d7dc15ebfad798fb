"""An encoder that remembers the last few texts.

In one turn the same text is read for its intent and for its user's group, and a retry reads it
again; a sentence costs several milliseconds to encode. Only small requests are remembered, so
that learning from a log neither fills nor empties the memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

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
        self._memory: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts as an (n, dim) array of L2-normalised rows; safe from several threads."""
        if not 0 < len(texts) <= _SMALL:
            return self._inner.encode(texts)
        known: dict[str, NDArray[np.float32]] = {}
        with self._lock:
            for text in texts:
                if text in self._memory:
                    self._memory.move_to_end(text)
                    known[text] = self._memory[text]
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            # Outside the lock: two threads may encode the same text, none waits for another.
            known.update(zip(missing, self._inner.encode(missing), strict=True))
            with self._lock:
                for text in missing:
                    self._memory[text] = known[text]
                while len(self._memory) > self._size:
                    self._memory.popitem(last=False)
        return np.stack([known[text] for text in texts])
