"""all-MiniLM-L6-v2 in numpy: a six-layer BERT without torch, in some thirty lines of algebra.

Reads ``model.safetensors`` and ``tokenizer.json`` as sentence-transformers publishes them and
gives the same vectors to 1e-6, loading in a fraction of a second instead of several. Post-norm
transformer with exact (erf) GELU, Devlin et al. 2019 (https://arxiv.org/abs/1810.04805);
weights from Wang et al. 2020 (https://arxiv.org/abs/2002.10957) as tuned by sentence-transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding.batches import MAX_TOKENS, embed, load_tokenizer
from gpa_agent.embedding.protocol import MINILM, MINILM_DIM
from gpa_agent.errors import DataError

WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, revision 1110a243."""
TOKENIZER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""SHA-256 of its tokenizer.json."""

_LAYERS = 6
_HEADS = 12
_HEAD_DIM = MINILM_DIM // _HEADS
_NORM_EPSILON = 1e-12

Array = NDArray[np.float32]


class _Linear(NamedTuple):
    weight: Array  # (in, out)
    bias: Array  # (out,)

    def __call__(self, x: Array) -> Array:
        # One matrix product over all rows: numpy would loop over the batch of a 3-d operand.
        out: Array = (x.reshape(-1, x.shape[-1]) @ self.weight).reshape(*x.shape[:-1], -1)
        out += self.bias
        return out


class _Norm(NamedTuple):
    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        x = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1]
        normed: Array = x / np.sqrt(variance + _NORM_EPSILON) * self.weight + self.bias
        return normed


class _Layer(NamedTuple):
    query_key_value: _Linear
    attention_out: _Linear
    attention_norm: _Norm
    widen: _Linear
    narrow: _Linear
    out_norm: _Norm

    def __call__(self, x: Array, bias: Array) -> Array:
        x = self.attention_norm(x + self.attention_out(self._attend(x, bias)))
        return self.out_norm(x + self.narrow(_gelu(self.widen(x))))

    def _attend(self, x: Array, bias: Array) -> Array:
        size, length, _ = x.shape
        joint = self.query_key_value(x).reshape(size, length, 3, _HEADS, _HEAD_DIM)
        query, key, value = joint.transpose(2, 0, 3, 1, 4)  # each (B, heads, T, head_dim)
        scores = query @ key.transpose(0, 1, 3, 2) + bias  # (B, heads, T, T)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: Array = (scores @ value).transpose(0, 2, 1, 3).reshape(size, length, MINILM_DIM)
        return mixed


_ERF = tuple(
    np.float32(c) for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
)
"""Abramowitz and Stegun 1964, formula 7.1.26: erf with an error below 1.5e-7."""


def _gelu(x: Array) -> Array:
    """``x P(Z <= x)``, written over ``x``: max(x, 0) less half of |x| erfc(|x| / sqrt 2)."""
    # In place wherever it can be: temporaries cost as much as the arithmetic.
    half = np.abs(x)
    half *= np.float32(0.5)
    square = half * half
    square *= np.float32(-2.0)
    np.exp(square, out=square)
    t = half * np.float32(0.3275911 * np.sqrt(2.0))
    t += np.float32(1.0)
    np.reciprocal(t, out=t)
    tail = _ERF[0] * t
    for coefficient in _ERF[1:]:
        tail += coefficient
        tail *= t
    tail *= square
    tail *= half
    np.maximum(x, np.float32(0.0), out=x)
    x -= tail
    return x


class MiniLMEncoder:
    """all-MiniLM-L6-v2 computed by numpy.

    Args:
        folder: Holds ``model.safetensors`` and ``tokenizer.json``.
        origin: Where the folder was found, in words for a screen.
        pinned: Whether weights and tokenizer must be, byte for byte, those of the published model.

    Raises:
        DataError: If a file is missing, damaged, of another model, or, where ``pinned``, not the
            published one.
    """

    name = MINILM
    dim = MINILM_DIM

    def __init__(self, folder: Path, *, origin: str, pinned: bool = False) -> None:
        self.origin = origin
        weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
        if pinned:
            check_sha256(weights, WEIGHTS_SHA256)
            check_sha256(tokenizer, TOKENIZER_SHA256)
        tensors = _read_tensors(weights)
        try:
            self._words = tensors["embeddings.word_embeddings.weight"]
            self._places = (
                tensors["embeddings.position_embeddings.weight"]
                + tensors["embeddings.token_type_embeddings.weight"][0]
            )
            self._norm = _norm(tensors, "embeddings")
            self._layers = [_layer(tensors, number) for number in range(_LAYERS)]
        except KeyError as exc:
            raise DataError(f"{str(weights)!r} is not all-MiniLM-L6-v2: it lacks {exc}") from exc
        if self._words.shape[1] != MINILM_DIM or len(self._places) < MAX_TOKENS:
            raise DataError(
                f"{str(weights)!r} is not all-MiniLM-L6-v2: its vectors have length "
                f"{self._words.shape[1]}, not {MINILM_DIM}"
            )
        self._tokenizer = load_tokenizer(tokenizer)

    def encode(self, texts: Sequence[str]) -> Array:
        """Encode texts.

        Args:
            texts: What to encode; beyond 256 tokens a text is cut.

        Returns:
            (n, 384) L2-normalised rows.
        """
        return embed(texts, self._tokenizer, self._forward)

    def _forward(self, tokens: NDArray[np.int64], mask: Array) -> Array:
        x = self._norm(self._words[tokens] + self._places[: tokens.shape[1]])
        bias = ((mask - 1.0) * np.float32(1e9))[:, None, None, :]  # padding is never attended to
        for layer in self._layers:
            x = layer(x, bias)
        return x


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file that is not, byte for byte, the expected one.

    Args:
        path: The file.
        expected: Its SHA-256 in hexadecimal.

    Raises:
        DataError: If the file cannot be read or differs.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise DataError(f"{str(path)!r} cannot be read: {exc}") from exc
    if found != expected:
        raise DataError(
            f"{str(path)!r} has SHA-256 {found!r} where {expected!r} was expected: "
            "damaged or changed; reinstall the package it belongs to"
        )


def _read_tensors(path: Path) -> Mapping[str, Array]:
    from safetensors import SafetensorError  # noqa: PLC0415 -- only MiniLM needs it
    from safetensors.numpy import load_file  # noqa: PLC0415 -- only MiniLM needs it

    try:
        return load_file(path)
    except (OSError, SafetensorError) as exc:
        raise DataError(f"{str(path)!r} cannot be read as safetensors: {exc}") from exc


def _linear(tensors: Mapping[str, Array], name: str) -> _Linear:
    weight = np.ascontiguousarray(tensors[f"{name}.weight"].T)
    return _Linear(weight, tensors[f"{name}.bias"])


def _norm(tensors: Mapping[str, Array], name: str) -> _Norm:
    return _Norm(tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"])


def _layer(tensors: Mapping[str, Array], number: int) -> _Layer:
    root = f"encoder.layer.{number}"
    query, key, value = (
        _linear(tensors, f"{root}.attention.self.{part}") for part in ("query", "key", "value")
    )
    # The usual 1/sqrt(head_dim) is folded into the query, and one product makes all three.
    scale = np.float32(_HEAD_DIM**-0.5)
    joint = _Linear(
        np.concatenate([query.weight * scale, key.weight, value.weight], axis=1),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )
    return _Layer(
        query_key_value=joint,
        attention_out=_linear(tensors, f"{root}.attention.output.dense"),
        attention_norm=_norm(tensors, f"{root}.attention.output"),
        widen=_linear(tensors, f"{root}.intermediate.dense"),
        narrow=_linear(tensors, f"{root}.output.dense"),
        out_norm=_norm(tensors, f"{root}.output"),
    )
