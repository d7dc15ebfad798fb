"""Adapters of the miniature, tuned by TRL itself: one that helps and two that collapsed."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from gpa_agent.testing.miniature.preferences import pairs

TARGETS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


class Tuned(NamedTuple):
    """An adapter and what TRL thought of it.

    Attributes:
        folder: Where it lies.
        accuracy: The highest of the last five ``rewards/accuracies`` that TRL logged.
    """

    folder: Path
    accuracy: float


class Recipe(NamedTuple):
    """How an adapter is tuned."""

    pairs: int
    learning_rate: float
    epochs: int
    loss: tuple[str, ...]


GOOD = Recipe(300, 2e-3, 1, ("sigmoid", "sft"))
HOT = Recipe(300, 3e-3, 2, ("sigmoid",))
LONG = Recipe(400, 1e-3, 3, ("sigmoid",))


def load(base: Path, adapter: Path | None = None) -> Any:
    """The base, or the base with an adapter."""
    model = AutoModelForCausalLM.from_pretrained(base)
    return model if adapter is None else PeftModel.from_pretrained(model, adapter)


def tune(base: Path, folder: Path, group: str, recipe: Recipe) -> Tuned:
    """Tune an adapter with TRL's own trainer."""
    torch.set_num_threads(1)
    rows = [
        {name: [said.model_dump() for said in getattr(pair, name)] for name in COLUMNS}
        for pair in pairs(group, recipe.pairs)
    ]
    args = DPOConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        loss_type=list(recipe.loss),
        per_device_train_batch_size=16,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        logging_steps=5,
        disable_tqdm=True,
    )
    trainer: Any = DPOTrainer(
        model=load(base),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.model.save_pretrained(folder)
    logged = [e["rewards/accuracies"] for e in trainer.state.log_history if "loss" in e]
    del trainer
    gc.collect()
    return Tuned(folder, max(logged[-5:]))


COLUMNS = ("prompt", "chosen", "rejected")


@pytest.fixture(scope="session")
def good(miniature_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """The novices' adapter by the recommended recipe."""
    return tune(miniature_base, tmp_path_factory.mktemp("good"), "novice", GOOD)


@pytest.fixture(scope="session")
def hot(miniature_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Too high a learning rate and no supervised term."""
    return tune(miniature_base, tmp_path_factory.mktemp("hot"), "novice", HOT)


@pytest.fixture(scope="session")
def long(miniature_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Too many epochs and no supervised term."""
    return tune(miniature_base, tmp_path_factory.mktemp("long"), "novice", LONG)
