"""Things people say to a chat app that have nothing to do with its task, and what they measure.

How alike two unrelated texts look differs from encoder to encoder. The cosines between these
utterances and the classes of a taxonomy give the encoder's level and spread of "unrelated", so
that one set of constants serves every encoder; they also stand in for out-of-scope texts where
a confidence is fitted. Written for this package.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from gpa_agent.understanding.distilled import Floats

BACKGROUND: Final = (
    "the sunset over the harbour was lovely yesterday",
    "my brother's dog keeps eating the neighbour's tomatoes",
    "who painted the ceiling of that chapel in rome",
    "do penguins ever get cold feet",
    "i have been thinking about moving closer to the sea",
    "name three rivers that flow through germany",
    "why is the sky darker at high altitude",
    "she finally finished knitting that enormous scarf",
    "give me a rhyme for orange",
    "which team won the cup in 1998",
    "is it true that octopuses have three hearts",
    "the old lighthouse keeper told us a ghost story",
    "how tall was the tallest dinosaur",
    "write a limerick about a lazy cat",
    "my grandmother grew up on a farm with forty sheep",
    "what happens inside a volcano before it erupts",
    "our choir sings in an old church every sunday",
    "did the romans really have heated floors",
    "i could never learn to juggle more than two balls",
    "what is the difference between a crow and a raven",
    "they repainted the town hall in a terrible green",
    "how many moons does jupiter have",
    "invent a name for a pirate ship",
    "the violin sounds better in a wooden room",
    "when did people begin to use forks",
    "that film made half of the audience cry",
    "could a person survive on potatoes alone",
    "the train through the mountains was three hours late",
    "which language has the most vowels",
    "tell me something surprising about mushrooms",
    "he collects stamps with butterflies on them",
    "what would happen if the moon disappeared",
    "we danced until the musicians packed up",
    "who was the first woman to fly across the atlantic",
    "i dreamt that i could breathe under water",
    "are there any deserts in europe",
    "the bakery on the corner closed after sixty years",
    "how do bees find their way home",
    "my uncle restores wooden boats in winter",
    "pick a colour and explain why you like it",
)


class Noise(NamedTuple):
    """How alike unrelated texts look to an encoder.

    Attributes:
        level: Mean cosine of background utterances to the anchors of a taxonomy.
        spread: Its standard deviation, above 0.
    """

    level: float
    spread: float


def measure_noise(background: Floats, anchors: Floats) -> Noise:
    """Level and spread of the cosines between background and anchors.

    Args:
        background: (B, d) encoded ``BACKGROUND``.
        anchors: (A, d) unit rows, A at least 1.

    Returns:
        Their mean and standard deviation; the latter at least 0.02, so that an encoder that sees
        no difference between texts does not turn rounding into certainty.
    """
    cosine = background @ anchors.T
    return Noise(float(cosine.mean()), max(float(np.std(cosine)), 0.02))
