"""A base with its adapters on it, loaded to serve.

PEFT reads the adapters' files; what it only warns of (weights that fit no layer) is refused here.
Adapters are never taken off again: PEFT's ``delete_adapter`` makes another group's the active
one. A new set is a new engine.
"""
# ruff: noqa: ANN401 -- transformers and PEFT choose their classes by what is in a file

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftConfig, PeftModelForCausalLM
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from gpa_agent.alignment.fingerprints import chat_template
from gpa_agent.alignment.serving.adapters import Device, UnfitAdapter, check_adapters
from gpa_agent.alignment.serving.mixing import Mixture, take_over
from gpa_agent.errors import DataError, UsageError

_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
"""What loading raises when files are damaged or do not fit."""
_FOREVER: Final = 10**9
"""Tokens; what a model's context is taken for that names none."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A base, its tokenizer and its adapters, ready to answer."""

    model: Any
    """A transformers model."""
    mixture: Mixture
    """Its adapters."""
    tokenizer: Any
    numbers: Mapping[str | None, int]
    """The number of a group's adapter; None is the base alone."""
    context: int
    """Tokens of prompt and answer together that the base was made for."""
    vocabulary: int
    """How many token ids it has."""
    ends: frozenset[int]
    """Token ids that end an answer; chat models often have several."""


def load(
    base: Path, adapters: Mapping[str, Path], *, device: Device = "auto", trust_base: bool = False
) -> Loaded:
    """Load a base and put adapters on it.

    Args:
        base: Folder of a causal language model with its tokenizer and a chat template.
        adapters: A folder in PEFT's format for each group; none is fine.
        device: ``auto`` takes a GPU where there is one. On a GPU that can, weights are bfloat16,
            else float32.
        trust_base: Take adapters, too, of which no manifest says what base they belong to.

    Raises:
        UsageError: There is no such base, it has no chat template, or no GPU where one is asked
            for.
        DataError: A model is damaged, or an adapter does not belong to this base; `UnfitAdapter`
            where it is one adapter that cannot be put on it.
    """
    if not base.is_dir():
        raise UsageError(f"there is no base at {str(base)!r}; expected a model's folder")
    chat_template(base)  # raises where there is none
    check_adapters(base, adapters, trust_base=trust_base)
    place = choose_device(device)
    tokenizer, model = _load_base(base, place)
    ends = _take_ends(model, tokenizer)
    model, mixture = _put_on(model, list(adapters.values()), place)
    return Loaded(
        model=model.eval().requires_grad_(requires_grad=False),
        mixture=mixture,
        tokenizer=tokenizer,
        numbers={group: number for number, group in enumerate((None, *adapters))},
        context=_context(model),
        vocabulary=model.get_input_embeddings().num_embeddings,
        ends=ends,
    )


def choose_device(device: Device) -> torch.device:
    """The device that is meant.

    Args:
        device: ``auto`` takes a GPU where there is one.

    Raises:
        UsageError: There is no GPU, or device, of that kind.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError("no GPU that torch can use is here; ask for device='auto' or 'cpu'")
    if device not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"{device!r} is no device; expected 'auto', 'cpu' or 'cuda'")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def _load_base(base: Path, device: torch.device) -> tuple[Any, Any]:
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.bfloat16 if half else torch.float32, use_safetensors=True
        )
    except _UNREADABLE as exc:
        raise DataError(f"cannot load the base at {str(base)!r}: {_first_line(exc)}") from exc
    finally:
        if shown:
            logging.enable_progress_bar()
    return tokenizer, model.to(device)


def _put_on(model: Any, folders: Sequence[Path], device: torch.device) -> tuple[Any, Mixture]:
    if not folders:
        return model, Mixture(())
    # Names of our own: PEFT's become attributes of a module, and a group may be called "keys".
    names = [f"group_{number}" for number in range(len(folders))]
    for folder, name in zip(folders, names, strict=True):
        try:
            model = _load_adapter(model, folder, name, device)
        except torch.OutOfMemoryError:  # a RuntimeError, and not this adapter's doing
            raise
        except _UNREADABLE as exc:
            raise UnfitAdapter(folder, _first_line(exc)) from exc
    try:
        return take_over(model, names)
    except ValueError as exc:
        raise DataError(f"the adapters cannot be served together: {exc}") from exc


def _load_adapter(model: Any, folder: Path, name: str, device: torch.device) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is checked below, or about v6
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        if not isinstance(model, PeftModelForCausalLM):
            model = PeftModelForCausalLM(model, config, adapter_name=name)
        # A second adapter is added here, the first one's weights are filled in.
        found = model.load_adapter(
            str(folder), name, torch_device=str(device), autocast_adapter_dtype=False
        )
    if wrong := [*found.missing_keys, *found.unexpected_keys]:
        raise UnfitAdapter(
            folder, f"{len(wrong)} of its layers are not there, such as {wrong[0]!r}"
        )
    return model


def _context(model: Any) -> int:
    places = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(places or _FOREVER)


def _take_ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Where answers end, out of the generation settings, of which no others are to count."""
    own = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig()
    listed = own if isinstance(own, list) else [own]
    return frozenset(end for end in (*listed, tokenizer.eos_token_id) if end is not None)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
