r"""The aspect catalogue of the embedded engine: measurable traits of an answer.

Each trait is a pure function of an answer (and its prompt) with a definition, a unit, guidance
for more and for less of it, and a source where one exists. They stand in families, one module
each, which the contrast also tests as a whole:

- ``length``, ``structure`` (lists, steps ...), ``formatting`` (bold, code ...), ``order`` (summary
  first ...), ``interaction`` (questions back ...), ``voice`` (first person ...), ``tone``
  (warmth ...), ``caution`` (hedging ...), ``wording`` (readability ...), ``explanation``
  (examples ...), ``grounding`` (figures, sources ...).

Counts are taken as log(1 + count) and uses of words as log(1 + uses per 100 words), so that
no trait is ruled by a few outliers. Word lists are English: on another language the traits of
wording are near zero and those of length, structure and formatting hold.

Traits that touch safety or honesty are ``protected``: refusals, disclaimers, apologies,
disclosure of being an AI, certainty, agreement with the user, and balance between viewpoints.
They are measured and tested, because leaving them out would let their effect pass for another
trait's, but they carry no guidance: nobody's taste makes a model refuse less, warn less, sound
surer or agree more.

Example:
    >>> from gpa_agent.rubrics.traits import catalogue, measure
    >>> names = [trait.name for trait in catalogue()]
    >>> values = measure("How do I start?", "1. Open the lid.\n2. Press the button.")
    >>> round(float(values[names.index("lists")]), 3)  # log(1 + 2 list items)
    1.099
    >>> [trait.more for trait in catalogue() if trait.name == "steps"]
    ['Lay the procedure out as numbered steps.']
"""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import Answer
from gpa_agent.rubrics.traits.catalogue import CATALOGUE_VERSION, FAMILIES, catalogue, measure
from gpa_agent.rubrics.traits.measuring import measure_many
from gpa_agent.rubrics.traits.trait import Trait

__all__ = [
    "CATALOGUE_VERSION",
    "FAMILIES",
    "Answer",
    "Trait",
    "catalogue",
    "measure",
    "measure_many",
]
