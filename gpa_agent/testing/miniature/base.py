"""A tiny language model, trained from scratch in about half a minute on one core.

A Llama of half a million parameters with its own byte-level tokenizer and a ChatML template
learns the answers of `gpa_agent.testing.miniature.domain` in all their mixtures, so that it
prefers no group's style. It is a miniature: good for showing that training, gating and serving
work, and for nothing else.

The folder is what any Hugging Face loader reads. The same seed gives the same bytes.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.alignment.deps import require
from gpa_agent.testing.chance import pick
from gpa_agent.testing.miniature.domain import draw_features, prompts, write_reply

if TYPE_CHECKING:
    from pathlib import Path


class Spoken(NamedTuple):
    """A question with one of its possible answers.

    Attributes:
        prompt: What the user says.
        reply: What the assistant says.
    """

    prompt: str
    reply: str


def make_base(folder: Path, *, seed: int = 0, texts: int = 2400, epochs: int = 3) -> Path:
    """Train the base model and save it with its tokenizer and chat template.

    Args:
        folder: Where to; made if it is not there.
        seed: Everything follows from it.
        texts: Questions with answers to learn from. The default, three times over, is what it
            takes for every answer to be coherent.
        epochs: How often each is learned from.

    Returns:
        The folder.

    Raises:
        MissingDependency: The extra ``finetune`` is not installed.
    """
    require("train the miniature base model")
    from gpa_agent.testing.miniature.training import train  # noqa: PLC0415 -- of the extra

    train(folder, corpus(seed, texts), seed=seed, epochs=epochs)
    return folder


def corpus(seed: int, texts: int) -> list[Spoken]:
    """Questions with untailored answers, as the base model learns them.

    Args:
        seed: Everything follows from it.
        texts: How many.
    """
    rng = Random(f"miniature/corpus/{seed}")
    asked = [pick(rng, prompts()) for _ in range(texts)]
    return [Spoken(p.text, write_reply(p, draw_features(rng))) for p in asked]
