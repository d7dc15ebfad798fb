"""Batched answers: seeds, batch mates, ends, likelihoods, and a model left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpa_agent.alignment.gating.generating import WINDOW, generate, likelihoods
from gpa_agent.alignment.pair import Said
from gpa_agent.errors import UsageError
from tests.alignment.tiny_models import CONTEXT, make_adapter, make_base

# PEFT's and transformers' own, about transformers 6.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

ASKED = [
    (Said(role="user", content=text),)
    for text in ("why?", "what is a heap, and what is a stack good for?", "sort a list", "fold")
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    torch.set_num_threads(1)
    base = make_base(tmp_path_factory.mktemp("generating") / "base")
    adapter = make_adapter(base, base.parent / "adapter", seed=3)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    return model, AutoTokenizer.from_pretrained(base)


def _ask(tiny: tuple[Any, Any], asked: Any = ASKED, **wishes: Any) -> Any:
    model, tokenizer = tiny
    return generate(model, tokenizer, asked, **{"samples": 3, "max_new_tokens": 20, **wishes})


def test_a_seed_decides_and_batch_mates_do_not(tiny: tuple[Any, Any]) -> None:
    alone, together = _ask(tiny, batch_size=1), _ask(tiny, batch_size=12)

    assert alone == together
    assert alone == _ask(tiny)
    assert alone != _ask(tiny, seed=1)
    assert len({sample.text for samples in alone for sample in samples}) == 12  # all their own


def test_answers_as_long_as_the_context_are_refused(tiny: tuple[Any, Any]) -> None:
    with pytest.raises(UsageError, match=f"is {CONTEXT} tokens; lower max_new_tokens"):
        _ask(tiny, max_new_tokens=CONTEXT)


def test_a_longer_list_of_prompts_leaves_the_first_answers_as_they_were(
    tiny: tuple[Any, Any],
) -> None:
    assert _ask(tiny, ASKED[:2]) == _ask(tiny)[:2]


def test_sampling_leaves_other_random_numbers_alone(tiny: tuple[Any, Any]) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    _ask(tiny)

    assert torch.equal(torch.rand(3), expected)


def test_no_temperature_is_what_transformers_finds_likeliest(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "why?"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
    )

    (answer,), *_ = _ask(tiny, temperature=0, samples=1)

    said = out[0, ids.shape[1] :].tolist()
    said = said[: said.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in said else said
    assert answer.text == tokenizer.decode(said, skip_special_tokens=True)
    assert answer.tokens == len(said)


def test_an_answer_that_meets_the_limit_has_not_ended(tiny: tuple[Any, Any]) -> None:
    answers = [answer for samples in _ask(tiny, max_new_tokens=3) for answer in samples]

    assert all(answer.tokens <= 3 for answer in answers)
    assert all(answer.tokens == 3 for answer in answers if not answer.ended)
    assert not all(answer.ended for answer in answers)


def test_every_end_token_of_the_model_ends_an_answer(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    kept = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = list(range(len(tokenizer)))
    try:
        answers = _ask(tiny, samples=1)
    finally:
        model.generation_config.eos_token_id = kept

    assert [samples[0] for samples in answers] == [("", True, 0)] * 4


def test_a_prompt_beyond_the_context_is_cut(tiny: tuple[Any, Any]) -> None:
    endless = (Said(role="user", content="why does my loop skip items? " * CONTEXT),)

    (samples,) = _ask(tiny, [endless])

    assert len(samples) == 3


def test_a_model_whose_numbers_broke_still_answers(tiny: tuple[Any, Any], tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(make_base(tmp_path / "broken"))
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))

    answers = generate(model, tiny[1], ASKED, max_new_tokens=5)

    assert len(answers) == 4


def test_likelihoods_are_the_models_own(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    answer = "a heap keeps the smallest item on top"
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "why?"}], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    said = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1]
    logs = torch.log_softmax(logits, dim=-1)[range(len(said)), said]
    worst = min(float(logs[i : i + WINDOW].mean()) for i in range(len(said) - WINDOW + 1))

    # The other answers are of other lengths, so that there is padding in the batch.
    found, *_ = likelihoods(
        model, tokenizer, ASKED[:3], [answer, "no", "a stack keeps the newest. " * 5]
    )

    assert found.total == pytest.approx(float(logs.sum()), rel=1e-4)
    assert found.worst == pytest.approx(worst, rel=1e-4)
    assert found.tokens == len(said)


def test_a_model_is_left_as_it_was_found(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_A" in name)
    before = [(n, p.requires_grad) for n, p in model.named_parameters()]
    tokenizer.padding_side = "right"

    _ask(tiny)
    likelihoods(model, tokenizer, ASKED[:1], ["no"])
    with pytest.raises(ValueError, match="zip"):
        likelihoods(model, tokenizer, ASKED, ["no"])

    assert all(module.training for module in model.modules())
    assert [(n, p.requires_grad) for n, p in model.named_parameters()] == before
    assert tokenizer.padding_side == "right"
    assert not any(module._forward_pre_hooks for module in model.modules())
