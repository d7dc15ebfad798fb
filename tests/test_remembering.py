from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding import HashingEncoder
from gpa_agent.embedding.remembering import RememberingEncoder


class Counting(HashingEncoder):
    """Counts the texts it is asked for."""

    asked = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(texts)
        return super().encode(texts)


def test_a_text_is_encoded_once() -> None:
    inner = Counting()
    encoder = RememberingEncoder(inner)
    once, twice = encoder.encode(["a text"]), encoder.encode(["a text", "another", "a text"])
    assert inner.asked == 2
    assert np.array_equal(once[0], twice[2])
    assert np.array_equal(twice, HashingEncoder().encode(["a text", "another", "a text"]))


def test_the_memory_is_bounded_and_large_requests_pass_it_by() -> None:
    inner = Counting()
    encoder = RememberingEncoder(inner, size=2)
    for text in ("a", "b", "c", "a"):
        encoder.encode([text])
    assert inner.asked == 4
    encoder.encode([str(i) for i in range(9)])
    encoder.encode([str(i) for i in range(9)])
    assert inner.asked == 22


def test_nothing_to_encode() -> None:
    assert RememberingEncoder(HashingEncoder()).encode([]).shape == (0, 384)
