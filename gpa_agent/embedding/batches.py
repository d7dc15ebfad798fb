"""Texts to padded batches of tokens, and token vectors to sentence vectors, for MiniLM.

Texts are sorted by length and cut so that a batch stays under a budget of tokens: memory is
bounded whatever comes in, and short texts are not padded to the length of long ones. As in
sentence-transformers, a text is cut at 256 tokens and its vector is the mean of its tokens'
(Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding.protocol import MINILM_DIM, unit_rows
from gpa_agent.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256
"""What all-MiniLM-L6-v2 reads of a text; sentence-transformers cuts there too."""
_MAX_CHARACTERS = 20_000
"""Characters handed to the tokenizer: 256 word pieces are far fewer, a 50 MB line far more."""
_BATCH_TOKENS = 4_096
"""Padded tokens of a batch: about 100 MB of intermediate arrays."""

Forward = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float32]]
"""(B, T) token ids and mask to (B, T, 384) token vectors."""


def load_tokenizer(path: Path) -> Tokenizer:
    """MiniLM's tokenizer from its ``tokenizer.json``.

    Args:
        path: The file.

    Returns:
        A tokenizer that cuts at 256 tokens and does not pad.

    Raises:
        DataError: If the file cannot be read as a tokenizer.
    """
    from tokenizers import Tokenizer  # noqa: PLC0415 -- 30 ms that only MiniLM needs

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises bare Exception
        raise DataError(f"{str(path)!r} is not a tokenizer.json: {exc}") from exc
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def embed(texts: Sequence[str], tokenizer: Tokenizer, forward: Forward) -> NDArray[np.float32]:
    """Sentence vectors of texts: tokens in, masked mean of the token vectors out.

    Args:
        texts: What to encode, in any order and of any length.
        tokenizer: From ``load_tokenizer``.
        forward: The transformer.

    Returns:
        (n, 384) L2-normalised rows in the order of ``texts``.
    """
    # One text at a time: encode_batch starts threads that warn when the process forks later.
    ids = [tokenizer.encode(text[:_MAX_CHARACTERS]).ids for text in texts]
    vectors = np.zeros((len(texts), MINILM_DIM), np.float32)
    for rows, tokens, mask in _batches(ids):
        hidden = forward(tokens, mask)  # (B, T, 384)
        weight = mask / mask.sum(axis=1, keepdims=True)
        vectors[rows] = np.einsum("btd,bt->bd", hidden, weight)
    return unit_rows(vectors)


def _batches(
    ids: list[list[int]],
) -> Iterator[tuple[list[int], NDArray[np.int64], NDArray[np.float32]]]:
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(ids[order[end]]) <= _BATCH_TOKENS:
            end += 1
        rows = order[start:end]
        # Matrix products are faster, and exactly as right, on a multiple of eight rows.
        width = min(MAX_TOKENS, -(-len(ids[rows[-1]]) // 8) * 8)
        tokens = np.zeros((len(rows), width), np.int64)
        mask = np.zeros((len(rows), width), np.float32)
        for line, row in enumerate(rows):
            tokens[line, : len(ids[row])] = ids[row]
            mask[line, : len(ids[row])] = 1.0
        yield rows, tokens, mask
        start = end
