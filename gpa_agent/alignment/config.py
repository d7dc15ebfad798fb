"""How group models are tuned: one frozen object, read from a YAML file or given in code.

The defaults are settings that were measured to work without collapsing: the sigmoid loss of DPO
(Rafailov et al., 2023) with a supervised term on the chosen answer beside it, as RPO has
(Pang et al., 2024, "Iterative Reasoning Preference Optimization"). Without that term a high
learning rate gives accuracies of 1.0 and gibberish.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gpa_agent.alignment.gating.verdict import GateConfig
from gpa_agent.errors import UsageError

Method = Literal["dpo", "kto", "kto-augmented", "sft", "rs-sft", "rs-dpo"]
TARGETS: Final = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
"""The linear layers of Llama-like blocks. Named and sorted, not ``all-linear``: that writes full
paths in random order, and the same training would give another file each time."""


class TuningConfig(BaseModel):
    """Everything that decides what comes out of a tuning, beside base and data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Annotated[str, Field(min_length=1)]
    """A folder with a causal language model, its tokenizer and chat template, or a name on the
    hub. All groups share it."""
    method: Method = "dpo"
    """``dpo`` on pairs (Algorithm 3); ``kto`` on the logged answers and ``kto-augmented`` on their
    twins too (Ethayarajh et al., 2024); ``sft`` on the chosen answers; ``rs-`` keeps the pairs
    with the widest margin of a reward model before."""

    epochs: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Passes over the pairs; more than one invites collapse."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-5
    """Peak of the cosine schedule, after a tenth of warm-up. Billions of parameters take about
    this, half a million a hundred times as much."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull towards the base, of DPO and KTO."""
    loss_type: Annotated[tuple[str, ...], Field(min_length=1)] = ("sigmoid", "sft")
    """Terms of DPO's loss, as TRL calls them, added up."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows per step and device; KTO needs two or more."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are added up before a step."""
    max_length: Annotated[int, Field(ge=8)] = 1024
    """Tokens of prompt and answer. Longer rows are left out and counted: cut off, they would
    teach an answer that does not end."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the adapter's first weights, the order of rows, and whatever is sampled."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Share of pairs that the ``rs-`` methods keep."""

    rank: Annotated[int, Field(ge=1, le=512)] = 8
    """Rank of the adapter (LoRA; Hu et al., 2021)."""
    alpha: Annotated[int, Field(ge=1)] = 16
    """Its scale: the update counts ``alpha / rank``."""
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = TARGETS
    """Names of the layers that get one."""

    save_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between checkpoints; None: an eighth of the run. A killed run goes on from the newest,
    and where the gate refuses the end, it tries the earlier ones."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: the GPU where there is one."""
    bf16: bool | Literal["auto"] = "auto"
    """Whether to compute in bfloat16; ``auto``: on a GPU that can."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Whether activations are computed again instead of kept; ``auto``: on a GPU."""
    quantization: Literal["4bit"] | None = None
    """``4bit`` loads the base in NF4 (QLoRA; Dettmers et al., 2023). Needs a GPU and
    ``bitsandbytes``; written to its documentation and not tested."""

    gate: GateConfig = GateConfig()
    """What an adapter must show on held-out prompts before it serves."""
    judge: str | None = None
    """Who compares answers, as ``package.module:attribute``; None: the rubrics' measured traits."""
    taxes: tuple[str, ...] = ()
    """Checks of general abilities that may refuse beside the gate, as ``package.module:attribute``:
    called with the tuned model and its tokenizer, each gives a ``Taxed``."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.method.startswith("kto") and self.batch_size < 2:
            raise ValueError("KTO compares the rows of a batch: batch_size is 2 or more")
        if len(set(self.target_modules)) < len(self.target_modules):
            raise ValueError("target_modules names a layer twice")
        if self.quantization and self.device == "cpu":
            raise ValueError("a base in 4 bits needs a GPU: device is auto or cuda")
        return self


def tuning_config(path: Path | None = None, /, **given: object) -> TuningConfig:
    """Read a configuration, with what is given in its place where it is not None.

    Args:
        path: A YAML file of the fields; a relative ``base`` that is there beside it is taken from
            there.
        **given: Fields that win over the file.

    Raises:
        UsageError: The file cannot be read, or a field is unknown, missing or out of range.
    """
    fields = {**_read(path), **{k: v for k, v in given.items() if v is not None}}
    try:
        return TuningConfig.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "configuration"
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {said}{_choices(where, path)}") from exc


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    import yaml  # noqa: PLC0415 -- keeps the settings light

    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise UsageError(f"cannot read the configuration {str(path)!r}: {exc}") from exc
    if not isinstance(fields, dict):
        raise UsageError(f"{str(path)!r} is not a list of settings, as in 'method: dpo'")
    beside = path.parent / str(fields.get("base", ""))
    if "base" in fields and beside.is_dir():
        fields["base"] = str(beside)
    return fields


def _choices(where: str, path: Path | None) -> str:
    of = f" (in {str(path)!r})" if path else ""
    return f"{of}; name the model to tune: --base FOLDER" if where == "base" else of
