"""A taxonomy of intents as vectors: what a name and a description say before any example.

A name is put into a few ordinary phrases whose vectors are averaged (prompt ensembling, Radford
et al. 2021, https://arxiv.org/abs/2103.00020), because users speak in sentences and names are
not sentences; a description, where there is one, counts as much as the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding.hashing import HashingEncoder
from gpa_agent.embedding.protocol import TextEncoder, unit_rows
from gpa_agent.errors import UsageError
from gpa_agent.understanding.distilled import Features, Floats

PHRASES: Final = (
    "{}",
    "i want to ask about {}",
    "please {}",
    "what is {}",
    "tell me about {}",
    "what is my {}",
)
"""Phrases a name is put into; chosen among sixteen on training utterances of CLINC150."""
_SEPARATORS = re.compile(r"[\s_\-/.:]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class TaxonomyEntry(Protocol):
    """What is known of an intent; ``settings.Intent`` is one."""

    @property
    def description(self) -> str:
        """What falls under it, in a sentence; may be empty."""
        ...

    @property
    def examples(self) -> Sequence[str]:
        """Utterances of this intent; may be empty."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A plain ``TaxonomyEntry``."""

    description: str = ""
    """What falls under it, in a sentence."""
    examples: tuple[str, ...] = ()
    """Utterances of this intent."""


def plain_words(name: str) -> str:
    """A name as a person would write it.

    Example:
        >>> plain_words("order_status"), plain_words("billing/changeAddress")
        ('order status', 'billing change address')
    """
    return _SEPARATORS.sub(" ", _HUMP.sub(" ", name)).strip().lower()


def check_taxonomy(taxonomy: Mapping[str, TaxonomyEntry]) -> None:
    """Refuse a taxonomy nothing can be told apart with.

    Args:
        taxonomy: Intents by name.

    Raises:
        UsageError: If it is empty, or an intent has a name that is taken or blank.
    """
    if not taxonomy:
        raise UsageError("the taxonomy is empty: name at least one intent with a description")
    for name in taxonomy:
        if name == UNKNOWN or not plain_words(name):
            why = "what an unclear utterance is called" if name == UNKNOWN else "blank"
            raise UsageError(f"{name!r} cannot name an intent, because it is {why}: rename it")


def describe(taxonomy: Mapping[str, TaxonomyEntry], encoder: TextEncoder) -> Features:
    """One vector an intent, from its name and description.

    Args:
        taxonomy: Intents by name.
        encoder: What encodes the phrases.

    Returns:
        (K, d) unit vectors and (K, 384) hashed words, in the taxonomy's order.
    """
    names = [plain_words(name) for name in taxonomy]
    phrases = [phrase.format(name) for name in names for phrase in PHRASES]
    vectors = _mean_of(encoder.encode(phrases), len(PHRASES))
    described = [i for i, entry in enumerate(taxonomy.values()) if entry.description.strip()]
    if described:
        texts = [entry.description for entry in taxonomy.values() if entry.description.strip()]
        vectors[described] = unit_rows(vectors[described] + encoder.encode(texts))
    full = [
        f"{name} {entry.description}" for name, entry in zip(names, taxonomy.values(), strict=True)
    ]
    return Features(vectors, HashingEncoder().encode(full))


def _mean_of(vectors: Floats, size: int) -> Floats:
    grouped = np.asarray(vectors, np.float32).reshape(-1, size, vectors.shape[1])
    return unit_rows(grouped.mean(axis=1))
