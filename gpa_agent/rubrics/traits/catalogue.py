"""The catalogue: all families' traits in a fixed order, and their measurement on one answer.

The order is the order of the columns in everything that is stored, and the version names the
measurements: stored measurements of another version are measured again.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from gpa_agent.rubrics.traits import (
    caution,
    explanation,
    formatting,
    grounding,
    interaction,
    length,
    order,
    structure,
    tone,
    voice,
    wording,
)
from gpa_agent.rubrics.traits.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gpa_agent.rubrics.traits.trait import Trait

CATALOGUE_VERSION = "traits-1"
"""Changes whenever any measurement or the order of the traits changes."""

_MODULES = (
    length,
    structure,
    formatting,
    order,
    interaction,
    voice,
    tone,
    caution,
    wording,
    explanation,
    grounding,
)
_TRAITS: tuple[Trait, ...] = tuple(trait for module in _MODULES for trait in module.TRAITS)

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {module.FAMILY: tuple(trait.name for trait in module.TRAITS) for module in _MODULES}
)
"""Names of each family's traits, in catalogue order."""


def catalogue() -> tuple[Trait, ...]:
    """All traits, in the order of the columns of `measure`."""
    return _TRAITS


def measure(prompt: str, answer: str) -> NDArray[np.float32]:
    """Measure every trait on one answer.

    Args:
        prompt: What was asked; "" where it is not known.
        answer: Any text; one without words measures 0 on every trait of wording.

    Returns:
        (T,) finite measurements in catalogue order, each in its trait's unit.
    """
    read = Answer(prompt, answer)
    return np.array([trait.measure(read) for trait in _TRAITS], dtype=np.float32)
