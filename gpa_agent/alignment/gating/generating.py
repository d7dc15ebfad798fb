"""Answers of a local model to many prompts at once, and how likely it finds given answers.

Sampling inverts the cumulative distribution with one uniform number a token. The numbers follow
from the seed, the prompt's place and the sample's number alone, so that an answer depends neither
on its batch mates nor on whatever else draws random numbers, and two models that are asked with
the same seed draw the same numbers: what differs between their answers is the models' doing.

A model is left as it was found: training mode, gradient flags and padding side.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessorList

from gpa_agent.alignment.pair import Said
from gpa_agent.alignment.sampling import draw
from gpa_agent.errors import UsageError

Model = Any
"""A transformers or PEFT model: their classes are made at run time."""
Tokenizer = Any
"""A transformers tokenizer with a chat template."""
Messages = Sequence[Said]

WINDOW: Final = 8
"""Tokens that are looked at together: one surprising word is nothing, eight in a row are."""

_LOGITS: Final = 2**28
"""Logits held at once: 1 GiB in float32."""


class Generated(NamedTuple):
    """One sampled answer.

    Attributes:
        text: What was said, without special tokens.
        ended: Whether it ended by itself, within the limit.
        tokens: How many tokens it has; the end of text is not counted.
    """

    text: str
    ended: bool
    tokens: int


class Likelihood(NamedTuple):
    """How likely a model finds an answer.

    Attributes:
        total: Log-probability of the answer and of its end, in nats.
        worst: The lowest mean log-probability of `WINDOW` tokens in a row, in nats a token; of
            all tokens where there are fewer.
        tokens: Tokens that it is made of, its end included.
    """

    total: float
    worst: float
    tokens: int


def generate(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[Messages],
    *,
    samples: int = 1,
    temperature: float = 0.7,
    max_new_tokens: int = 256,
    seed: int = 0,
    batch_size: int = 32,
) -> list[list[Generated]]:
    """Let a model answer.

    The model's own generation settings (penalties, top-k ...) are not applied.

    Args:
        model: A transformers or PEFT model; of the latter, whatever adapter is active answers.
        tokenizer: Its tokenizer, with a chat template.
        prompts: Conversations that end with the user; one that leaves no room for an answer in
            the model's context is cut on the left.
        samples: Answers to each prompt.
        temperature: 0 takes the likeliest token always.
        max_new_tokens: Where an answer is cut off.
        seed: The same seed gives the same answers.
        batch_size: Answers made at once.

    Returns:
        For each prompt its ``samples`` answers, in the prompts' order.

    Raises:
        UsageError: The model's context has no room for such answers beside any prompt.
    """
    places = _places(model)
    if places is not None and max_new_tokens >= places:
        raise UsageError(
            f"answers of {max_new_tokens} tokens leave no room for a prompt: the model's context "
            f"is {places} tokens; lower max_new_tokens"
        )
    ids = [_prompt_ids(model, tokenizer, prompt, max_new_tokens) for prompt in prompts]
    rows = [(prompt, sample) for prompt in range(len(ids)) for sample in range(samples)]
    rows.sort(key=lambda row: len(ids[row[0]]))  # rows of one length need no padding
    answers: dict[tuple[int, int], Generated] = {}
    with as_found(model):
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            picker = None
            if temperature > 0:
                picker = _Picker(
                    [_uniforms(seed, *row, max_new_tokens) for row in batch], temperature
                )
            made = _generate_batch(
                model, tokenizer, [ids[prompt] for prompt, _ in batch], picker, max_new_tokens
            )
            answers.update(zip(batch, made, strict=True))
    return [[answers[prompt, sample] for sample in range(samples)] for prompt in range(len(ids))]


def likelihoods(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[Messages],
    answers: Sequence[str],
    *,
    batch_size: int = 32,
) -> list[Likelihood]:
    """How likely a model finds given answers to given prompts, at temperature 1.

    Args:
        model: A transformers or PEFT model; of the latter, with whatever adapter is active.
        tokenizer: Its tokenizer, with a chat template.
        prompts: Conversations that end with the user.
        answers: One answer a prompt.
        batch_size: Answers looked at at once; fewer where their logits would take too much memory.

    Returns:
        One figure an answer, in order.
    """
    rows = [
        _Row(_prompt_ids(model, tokenizer, prompt, len(answer)), answer)
        for prompt, answer in zip(prompts, _answer_ids(tokenizer, answers), strict=True)
    ]
    found: dict[int, Likelihood] = {}
    with as_found(model):
        for batch in _batches(rows, batch_size, most=_LOGITS // len(tokenizer)):
            found.update(
                zip(batch, _read_likelihoods(model, [rows[i] for i in batch]), strict=True)
            )
    return [found[i] for i in range(len(rows))]


@contextmanager
def as_found(model: Model) -> Generator[None]:
    """Evaluate a model and put its modes and gradient flags back, whatever happens.

    Args:
        model: A transformers or PEFT model.
    """
    training = [module for module in model.modules() if module.training]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


class _Row(NamedTuple):
    prompt: list[int]
    answer: list[int]


class _Picker:
    """Decides every next token of a batch; transformers takes it as a logits processor."""

    def __init__(self, uniforms: Sequence[torch.Tensor], temperature: float) -> None:
        self._uniforms = torch.stack(list(uniforms))  # (B, max_new_tokens)
        self._temperature = temperature
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 -- the processors' signature
        chances = torch.softmax(scores.double() / self._temperature, dim=-1)  # (B, V)
        token = draw(chances, self._uniforms[:, self._step].to(scores.device))
        self._step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, token[:, None], 0.0)


def _uniforms(seed: int, prompt: int, sample: int, count: int) -> torch.Tensor:
    """(count,) uniform numbers in [0, 1) of one answer."""
    rng = np.random.default_rng((seed, prompt, sample))
    return torch.from_numpy(rng.random(count))


def _generate_batch(
    model: Model,
    tokenizer: Tokenizer,
    ids: Sequence[list[int]],
    picker: _Picker | None,
    max_new_tokens: int,
) -> list[Generated]:
    ends = _ends(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    width = max(len(row) for row in ids)
    padded = torch.tensor([[pad] * (width - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
    with torch.no_grad():
        out = model.generate(
            input_ids=padded.to(model.device),
            attention_mask=mask.to(model.device),
            logits_processor=LogitsProcessorList([] if picker is None else [picker]),
            generation_config=_plain(ends, pad, max_new_tokens),
        )
    return [_read(tokenizer, row[width:].tolist(), ends) for row in out]


def _plain(ends: list[int], pad: int, max_new_tokens: int) -> GenerationConfig:
    """Settings that let the picker alone decide: what is not said here a model's own would fill."""
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=ends,
        pad_token_id=pad,
    )


def _read(tokenizer: Tokenizer, ids: list[int], ends: list[int]) -> Generated:
    end = next((at for at, token in enumerate(ids) if token in ends), None)
    said = ids[:end]
    return Generated(tokenizer.decode(said, skip_special_tokens=True), end is not None, len(said))


def _ends(model: Model, tokenizer: Tokenizer) -> list[int]:
    """Every token that ends an answer: chat models often have several."""
    own = getattr(model.generation_config, "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    ends = {end for end in (tokenizer.eos_token_id, *listed) if end is not None}
    return sorted(ends)


def _prompt_ids(model: Model, tokenizer: Tokenizer, prompt: Messages, room: int) -> list[int]:
    messages = [said.model_dump() for said in prompt]
    encoded = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ids: list[int] = encoded["input_ids"]
    places = _places(model)
    return ids if places is None else ids[-max(1, places - room) :]


def _places(model: Model) -> int | None:
    """Tokens of prompt and answer that a model was made for, where it says."""
    places: int | None = getattr(model.config, "max_position_embeddings", None)
    return places


def _answer_ids(tokenizer: Tokenizer, answers: Sequence[str]) -> list[list[int]]:
    """Each answer's tokens with the end of text."""
    encoded = tokenizer(list(answers), add_special_tokens=False)["input_ids"] if answers else []
    return [[*ids, tokenizer.eos_token_id] for ids in encoded]


def _batches(rows: Sequence[_Row], batch_size: int, *, most: int) -> Iterator[list[int]]:
    """Places of rows that go together: like lengths, and at most so many tokens with padding."""
    lengths = [len(row.prompt) + len(row.answer) for row in rows]
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lengths.__getitem__):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[place] > most):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _read_likelihoods(model: Model, rows: Sequence[_Row]) -> list[Likelihood]:
    width = max(len(row.prompt) + len(row.answer) for row in rows)
    whole = [row.prompt + row.answer for row in rows]
    # Padding stands on the right, where causal attention never sees it.
    ids = torch.tensor([row + [0] * (width - len(row)) for row in whole], device=model.device)
    mask = torch.tensor(
        [[1] * len(row) + [0] * (width - len(row)) for row in whole], device=model.device
    )
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits  # (B, T, V)
    read: list[Likelihood] = []
    for row, target, seen in zip(rows, ids, logits, strict=True):
        first, last = len(row.prompt), len(row.prompt) + len(row.answer)
        logs = torch.log_softmax(seen[first - 1 : last - 1].float(), dim=-1)
        picked = logs.gather(1, target[first:last, None])[:, 0]  # (tokens of the answer,)
        windows = picked.unfold(0, min(WINDOW, len(picked)), 1).mean(dim=-1)
        read.append(Likelihood(float(picked.sum()), float(windows.min()), len(picked)))
    return read
