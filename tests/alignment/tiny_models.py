"""A random base of some thousand parameters and adapters that visibly change it, in a second."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModelForCausalLM, get_peft_model
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from gpa_agent.alignment.manifest import write_manifest
from gpa_agent.alignment.serving.asking import Request
from gpa_agent.alignment.serving.local import LocalEngine
from tests.alignment.shelves import made

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = """a heap keeps the smallest item on top; a stack keeps the newest. sort, map and fold.
why does my loop skip items? removing while walking shifts what follows. größer, naïve, 日本語."""
SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
CONTEXT = 192


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE: any text goes in and comes out."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        chat_template=TEMPLATE,
    )


def make_base(folder: Path, *, seed: int = 0, hidden: int = 48, layers: int = 2) -> Path:
    """A random Llama; its weights are large, so that the likeliest token leads by a margin."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path, *, seed: int, **settings: Any) -> Path:
    """A random adapter, not the identity that a fresh one is."""
    torch.manual_seed(seed)
    wanted: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 16,
        "target_modules": ["down_proj", "q_proj", "v_proj"],
        "init_lora_weights": False,
        "task_type": "CAUSAL_LM",
        **settings,
    }
    disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, about transformers 6 and what it saves
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**wanted))
        model.save_pretrained(str(folder))
    return folder


def make_groups(folder: Path, groups: int = 3) -> tuple[Path, dict[str, Path]]:
    """A base and so many adapters."""
    base = make_base(folder / "base")
    names = [f"group {number}" for number in range(groups)]
    return base, {
        name: make_adapter(base, folder / name, seed=seed)
        for seed, name in enumerate(names, start=1)
    }


@pytest.fixture(scope="session")
def groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A base with three adapters; read only."""
    torch.set_num_threads(1)
    return make_groups(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def engine(groups: tuple[Path, dict[str, Path]]) -> Iterator[LocalEngine]:
    """An engine that serves them."""
    base, adapters = groups
    with LocalEngine(base, adapters, trust_base=True) as made:
        yield made


def ask(text: str, adapter: str | None = None, **wishes: Any) -> Request:
    """A request for a short, greedy answer to one question."""
    wishes = {"temperature": 0.0, "max_tokens": 24, **wishes}
    return Request(messages=[{"role": "user", "content": text}], adapter=adapter, **wishes)


@contextmanager
def at_every_step(act: Callable[[], object]) -> Generator[None]:
    """Do something whenever any Llama of this process is about to compute its next tokens."""

    def before(module: torch.nn.Module, _: Any) -> None:
        if isinstance(module, LlamaForCausalLM):
            act()

    handle = register_module_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def write_manifest_for(base: Path, adapter: Path, folder: Path) -> Path:
    """A copy of an adapter that says it was tuned on a base."""
    shutil.copytree(adapter, folder)
    write_manifest(folder, made("novice", base, 1, (), {}))
    return folder


class Bare:
    """A base with adapters as PEFT's documentation loads them."""

    def __init__(self, base: Path, adapters: Sequence[Path]) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT's, about transformers 6
            model = AutoModelForCausalLM.from_pretrained(base)
            self.model = PeftModelForCausalLM.from_pretrained(model, adapters[0], "a")
            for name, folder in zip("bc", adapters[1:], strict=False):
                self.model.load_adapter(folder, name)
        self.model.eval()

    def ids(self, question: str) -> Any:
        asked = [{"role": "user", "content": question}]
        return self.tokenizer.apply_chat_template(
            asked, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )

    def say(self, question: str, **options: Any) -> str:
        ids = self.ids(question)
        with torch.inference_mode():
            out = self.model.generate(**ids, max_new_tokens=24, do_sample=False, **options)
        said: str = self.tokenizer.decode(
            out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return said


def bare_text(base: Path, adapter: Path, question: str) -> str:
    """What PEFT's own model says, greedily."""
    return Bare(base, [adapter]).say(question)
