"""Answers of the miniature base, or of an adapter on it, to many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpa_agent.alignment.gating.generating import Messages, generate
from gpa_agent.testing.miniature.training import one_thread, quietly

_LONGEST: Final = 120
"""Tokens; about twice what the longest answer has."""


def answer_all(
    base: Path, adapter: Path | None, prompts: Sequence[Messages], *, samples: int, seed: int
) -> list[str]:
    """Let a model answer.

    Args:
        base: The base's folder.
        adapter: An adapter's; None for the bare base.
        prompts: Conversations that end with the user.
        samples: Answers to each, at temperature 0.7.
        seed: The same for the same answers.

    Returns:
        Each prompt's answers, one after the other.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    with quietly():
        model = AutoModelForCausalLM.from_pretrained(base)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter)
    with one_thread():
        made = generate(
            model,
            tokenizer,
            prompts,
            samples=samples,
            temperature=0.7,
            max_new_tokens=_LONGEST,
            seed=seed,
            batch_size=72,
        )
    return [answer.text for of_prompt in made for answer in of_prompt]
