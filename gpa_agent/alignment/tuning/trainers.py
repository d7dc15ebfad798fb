"""One loaded base, and on it one adapter after the other, trained by TRL.

Imported only where torch is wanted. Between two groups the base is put back exactly: TRL leaves a
``forward`` of its own on it, PEFT its layers in it. The reference of DPO and KTO is the same base
with the adapter switched off, so there is no second model.
"""

from __future__ import annotations

import gc
import hashlib
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import datasets
import torch
import transformers
from jinja2.exceptions import TemplateError
from peft import LoraConfig, load_peft_weights, set_peft_model_state_dict
from peft.utils import NoMatchingPeftModuleError
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.tuning.rows import Prepared, Render
from gpa_agent.errors import DataError, MissingDependency, UsageError

OnStep = Callable[[int, int], None]
"""Called with steps done and steps in all."""
_CHECKPOINTS: Final = 8
_LOGGED: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What the training runs on."""

    device: str
    """``cpu`` or ``cuda``."""
    bf16: bool
    gradient_checkpointing: bool


def hardware(config: TuningConfig) -> Hardware:
    """Find what is there, and refuse what was asked for and is not.

    Args:
        config: The configuration.

    Raises:
        UsageError: A GPU is asked for, or needed, and there is none.
    """
    there = torch.cuda.is_available()
    wanted = config.device == "cuda" or config.quantization is not None
    if wanted and not there:
        raise UsageError(
            "a GPU is asked for and torch sees none; take device: cpu (and no quantization), or "
            "install a torch that is built for CUDA and look at CUDA_VISIBLE_DEVICES"
        )
    gpu = there and config.device != "cpu"
    auto_bf16 = gpu and torch.cuda.is_bf16_supported()
    saving = config.gradient_checkpointing
    return Hardware(
        device="cuda" if gpu else "cpu",
        bf16=auto_bf16 if config.bf16 == "auto" else config.bf16,
        gradient_checkpointing=gpu if saving == "auto" else saving,
    )


def quiet() -> None:
    """Keep the libraries' bars and notices off the screen: progress is told as events."""
    os.environ["TQDM_DISABLE"] = "1"
    warnings.filterwarnings("ignore", category=FutureWarning)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 -- transformers' classes are made at run time
    """Load a base's tokenizer.

    The side is given to the constructor: set afterwards it is not saved, and an answer generated
    after padding on the right is worth nothing.

    Args:
        folder: The base.

    Raises:
        DataError: It cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, padding_side="left")
    except (OSError, ValueError) as exc:
        raise DataError(f"the tokenizer of {str(folder)!r} cannot be loaded: {exc}") from exc


def load_base(folder: Path, config: TuningConfig, on: Hardware) -> Any:  # noqa: ANN401 -- as above
    """Load the model that all groups share.

    Args:
        folder: The base.
        config: The configuration.
        on: What it runs on.

    Raises:
        MissingDependency: 4 bits are asked for without ``bitsandbytes``.
        DataError: It cannot be loaded.
    """
    wanted: dict[str, Any] = {"dtype": torch.bfloat16 if on.bf16 else torch.float32}
    if config.quantization:
        wanted["quantization_config"] = _four_bits()
    try:
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **wanted)
    except (OSError, ValueError) as exc:
        raise DataError(f"the base {str(folder)!r} cannot be loaded: {exc}") from exc


def _four_bits() -> Any:  # noqa: ANN401 -- as above
    from importlib.util import find_spec  # noqa: PLC0415 -- QLoRA alone

    if find_spec("bitsandbytes") is None:
        raise MissingDependency("bitsandbytes", extra="finetune", purpose="load a base in 4 bits")
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def renderer(tokenizer: Any) -> Render:  # noqa: ANN401 -- as above
    """Count tokens as the base's chat template sets them.

    Args:
        tokenizer: The base's.

    Returns:
        The counter; it raises DataError where the template refuses a conversation.
    """

    def tokens(messages: list[dict[str, str]], answering: bool) -> int:
        try:
            rendered = tokenizer.apply_chat_template(
                messages, add_generation_prompt=answering, tokenize=True, return_dict=True
            )
        except TemplateError as exc:
            raise DataError(
                f"the base's chat template refuses a conversation of the pairs ({exc}); take "
                "another base, or make pairs without system messages"
            ) from exc
        return len(rendered["input_ids"])

    return tokens


def steps_of(rows: int, config: TuningConfig) -> int:
    """Steps of the optimizer that so many rows take on one device.

    Args:
        rows: How many.
        config: The configuration.
    """
    batches = math.ceil(rows / config.batch_size)
    return math.ceil(config.epochs * math.ceil(batches / config.accumulate))


def trainer_for(
    base: Any,  # noqa: ANN401 -- as above
    tokenizer: Any,  # noqa: ANN401 -- as above
    prepared: Prepared,
    config: TuningConfig,
    *,
    on: Hardware,
    work: Path,
    on_step: OnStep,
) -> Any:  # noqa: ANN401 -- as above
    """Put a fresh adapter on the base and everything that trains it around.

    Args:
        base: The bare base; the adapter's layers are put into it.
        tokenizer: Its tokenizer.
        prepared: The rows.
        config: The configuration.
        on: What it runs on.
        work: Where checkpoints go.
        on_step: Told of every step.

    Raises:
        UsageError: The base has none of the layers that are to get an adapter.
    """
    made_by, arguments = _of_method(config, prepared)
    common = _arguments(config, len(prepared.rows), on, work)
    try:
        trainer = made_by(
            model=base,
            args=arguments(**common),
            train_dataset=datasets.Dataset.from_list(prepared.rows),
            processing_class=tokenizer,
            peft_config=_adapter(config),
            callbacks=[_Steps(on_step)],
        )
    except NoMatchingPeftModuleError as exc:
        raise UsageError(
            f"the base has no layers called {', '.join(config.target_modules)}; name its own as "
            "target_modules in the configuration (for GPT-2: [c_attn, c_proj, c_fc])"
        ) from exc
    trainer.remove_callback(PrinterCallback)
    return trainer


def take_off(trainer: Any) -> None:  # noqa: ANN401 -- as above
    """Take the adapter off the base and leave the base as it was loaded.

    Args:
        trainer: What `trainer_for` made; not to be used any more.
    """
    base = trainer.model.unload()
    # TRL's fused head is a `forward` of the object, and each trainer wraps the one before.
    base.__dict__.pop("forward", None)
    base.__dict__.pop("peft_config", None)
    if trainer.args.gradient_checkpointing:
        base.disable_input_require_grads()
        base.gradient_checkpointing_disable()


def let_go() -> None:
    """Free what the last group took."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def take_weights(model: Any, checkpoint: Path) -> None:  # noqa: ANN401 -- as above
    """Put a checkpoint's adapter in the place of the present one.

    Args:
        model: With the adapter that training made.
        checkpoint: Its folder.
    """
    weights = load_peft_weights(str(checkpoint), device=str(model.device))
    set_peft_model_state_dict(model, weights)


def state_sha256(model: Any) -> str:  # noqa: ANN401 -- as above
    """Hash a model's tensors as they are in memory.

    Args:
        model: Any module.
    """
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(f"{name}\0".encode())
        flat = tensor.detach().reshape(-1).contiguous().cpu()
        whole.update(memoryview(flat.view(torch.uint8).numpy()))
    return whole.hexdigest()


def _of_method(config: TuningConfig, prepared: Prepared) -> tuple[Any, Callable[..., Any]]:
    """The trainer of a method and what makes its arguments."""
    if config.method in ("dpo", "rs-dpo"):
        losses = list(config.loss_type)
        return DPOTrainer, lambda **args: DPOConfig(beta=config.beta, loss_type=losses, **args)
    if config.method in ("sft", "rs-sft"):
        return SFTTrainer, SFTConfig
    weights = prepared.weights
    return KTOTrainer, lambda **args: KTOConfig(
        beta=config.beta,
        desirable_weight=weights.desirable,
        undesirable_weight=weights.undesirable,
        **args,
    )


def _arguments(config: TuningConfig, rows: int, on: Hardware, work: Path) -> Mapping[str, Any]:
    """What all methods share; TRL's own defaults fail on a CPU, so each flag is said."""
    steps = steps_of(rows, config)
    return {
        "output_dir": str(work),
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,  # a share of all steps
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulate,
        "max_length": config.max_length,
        "seed": config.seed,
        "use_cpu": on.device == "cpu",
        "bf16": on.bf16,
        "gradient_checkpointing": on.gradient_checkpointing,
        "dataloader_pin_memory": on.device != "cpu",
        "save_strategy": "steps",
        "save_steps": config.save_steps or max(1, math.ceil(steps / _CHECKPOINTS)),
        "logging_steps": max(1, steps // _LOGGED),
        "logging_nan_inf_filter": False,  # a loss that is no number is to be seen
        "report_to": [],
        "disable_tqdm": True,
    }


def _adapter(config: TuningConfig) -> LoraConfig:
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=sorted(config.target_modules),
        task_type="CAUSAL_LM",
    )


class _Steps(TrainerCallback):  # type: ignore[misc]  # transformers is untyped to mypy
    """Tells of every step."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002 -- the callback's signature
        self._on_step(state.global_step, state.max_steps)
