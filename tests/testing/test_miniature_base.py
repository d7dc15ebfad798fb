"""The miniature base model itself: what it can do, and that it is the same every time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpa_agent.testing.miniature.base import corpus, make_base
from gpa_agent.testing.miniature.checks import coherent, score
from gpa_agent.testing.miniature.domain import GROUPS
from gpa_agent.testing.miniature.winning import BASE, coherence, held_out_answers
from tests.alignment.conftest import miniature_base

__all__ = ["miniature_base"]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_the_base_makes_sense_of_prompts_it_never_saw_and_takes_no_side(
    miniature_base: Path,
) -> None:
    answers = held_out_answers(miniature_base, {})[BASE]
    assert len(answers) == 72 * 3
    assert coherence(answers) >= 0.98
    # Untailored answers score .5 on average, as tastes are opposed; sampling at .7 leans a little.
    for group in GROUPS:
        assert sum(score(answer, group) for answer in answers) / len(answers) == pytest.approx(
            0.5, abs=0.1
        )


@pytest.mark.slow
def test_the_base_is_tiny_and_what_any_loader_reads(miniature_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(miniature_base)
    tokenizer = AutoTokenizer.from_pretrained(miniature_base)
    assert 400_000 < sum(p.numel() for p in model.parameters()) < 600_000
    assert tokenizer.padding_side == "left"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token_id == model.config.pad_token_id != tokenizer.eos_token_id


@pytest.mark.slow
def test_the_template_marks_the_answer_and_nothing_follows_its_end(miniature_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(miniature_base)
    said = [{"role": "user", "content": "How do I sort a list?"}]
    asked = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    said.append({"role": "assistant", "content": "Use sort."})
    whole = tokenizer.apply_chat_template(said, tokenize=False)
    assert whole == f"{asked}Use sort.<|im_end|>"
    marked = tokenizer.apply_chat_template(
        said, return_dict=True, return_assistant_tokens_mask=True
    )
    learned = [
        token
        for token, mask in zip(marked["input_ids"], marked["assistant_masks"], strict=True)
        if mask
    ]
    assert tokenizer.decode(learned) == "Use sort.<|im_end|>"


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one = make_base(tmp_path / "one", texts=48, epochs=1)
    two = make_base(tmp_path / "two", texts=48, epochs=1)
    other = make_base(tmp_path / "other", seed=1, texts=48, epochs=1)
    assert _bytes(one) == _bytes(two)
    assert _bytes(one)["model.safetensors"] != _bytes(other)["model.safetensors"]


def test_training_leaves_the_callers_numbers_and_threads_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    random.seed(7)
    before = torch.random.get_rng_state(), random.getstate(), torch.get_num_threads()
    make_base(tmp_path / "base", texts=16, epochs=1)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (random.getstate(), torch.get_num_threads())


def test_what_the_base_learns_from_is_coherent() -> None:
    said = corpus(seed=2, texts=200)
    assert all(coherent(one.prompt, one.reply) for one in said)
    assert said == corpus(seed=2, texts=200)
