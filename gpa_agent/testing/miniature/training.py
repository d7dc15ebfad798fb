"""The training behind `gpa_agent.testing.miniature.base`: tokenizer, model, a plain loop.

On one thread, with a generator of its own, so that the same seed gives the same weights to the
last bit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from gpa_agent.testing.miniature.base import Spoken

PAD: Final = "<|pad|>"
START: Final = "<|im_start|>"
END: Final = "<|im_end|>"

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '' if loop.first else '\n' }}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML that marks what the assistant says, so that trainers can learn from that alone. Nothing
follows the end of an answer: trainers count what does as part of it, and tuning would be spent on
a line break that this model never learned."""

_BATCH: Final = 16
_RATE: Final = 4e-3
_UNSCORED: Final = -100
"""The label that the loss passes over."""


class _Row(NamedTuple):
    ids: list[int]
    labels: list[int]


def train(folder: Path, spoken: Sequence[Spoken], *, seed: int, epochs: int) -> None:
    """Train a tokenizer and a model on questions with answers, and save both.

    Args:
        folder: Where to; made if it is not there.
        spoken: What to learn from.
        seed: Of the first weights and the order.
        epochs: Passes over it.
    """
    tokenizer = _make_tokenizer(spoken)
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _make_model(tokenizer)
        _train(model, _encode(tokenizer, spoken), epochs=epochs, seed=seed)
    with quietly():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def quietly() -> Generator[None]:
    """No bars for a model of two megabytes, no warning where PEFT calls what has a new name."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def one_thread() -> Generator[None]:
    """Several threads are slower on so small a model, and their sums differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _make_tokenizer(spoken: Sequence[Spoken]) -> PreTrainedTokenizerFast:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [f"system\nuser\n{s.prompt}\nassistant\n{s.reply}" for s in spoken],
        vocab_size=1024,
        special_tokens=[PAD, START, END],
        show_progress=False,
    )
    # Padding on the left must be said here: what is set later is not saved.
    return PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,  # noqa: SLF001 -- the plain tokenizer inside
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        padding_side="left",
        model_max_length=512,
        chat_template=CHAT_TEMPLATE,
    )


def _make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    ids: Any = tokenizer.convert_tokens_to_ids([PAD, END])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=336,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.05,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ids[1],
        pad_token_id=ids[0],
    )
    return LlamaForCausalLM(config)


def _encode(tokenizer: PreTrainedTokenizerFast, spoken: Sequence[Spoken]) -> list[_Row]:
    """Token ids with labels: the loss is over what the assistant says."""
    rows: list[_Row] = []
    for said in spoken:
        encoded: Any = tokenizer.apply_chat_template(
            [
                {"role": "user", "content": said.prompt},
                {"role": "assistant", "content": said.reply},
            ],
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, mask = encoded["input_ids"], encoded["assistant_masks"]
        rows.append(_Row(ids, [i if m else _UNSCORED for i, m in zip(ids, mask, strict=True)]))
    return rows


def _train(model: LlamaForCausalLM, rows: Sequence[_Row], *, epochs: int, seed: int) -> None:

    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.95))
    total = epochs * math.ceil(len(rows) / _BATCH)
    warm = max(total // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / total))),
    )
    pad = model.config.pad_token_id or 0
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows), generator=order).split(_BATCH):
            loss = model(**_batch([rows[i] for i in chosen.tolist()], pad)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()


def _batch(rows: Sequence[_Row], pad: int) -> dict[str, torch.Tensor]:
    """(B, T) ids, attention mask and labels, padded on the right."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([ls + [_UNSCORED] * (width - len(ls)) for _, ls in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
