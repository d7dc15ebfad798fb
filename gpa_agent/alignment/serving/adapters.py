"""What must hold of an adapter before it may be put on a base.

PEFT checks little. An adapter of another base whose layers have the same shapes loads without a
word and talks nonsense; pickled weights are read; what is more than plain LoRA cannot be mixed
with others. Each is refused, from the files alone and without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from gpa_agent.alignment.fingerprints import Fingerprint, fingerprint
from gpa_agent.alignment.manifest import MANIFEST, read_manifest
from gpa_agent.alignment.tuning.checkpoints import ADAPTER, ADAPTER_CONFIG
from gpa_agent.errors import DataError

Device = Literal["auto", "cpu", "cuda"]

_SPECIAL: Final = (
    *("alora_invocation_tokens", "bias", "layer_replication", "lora_bias", "modules_to_save"),
    *("target_parameters", "trainable_token_indices", "use_dora"),
)
"""Settings of PEFT's that make an adapter more than a product of two matrices a layer."""


class UnfitAdapter(DataError):  # noqa: N818 -- reads as the fact it reports
    """One adapter cannot be put on the base; the others may.

    Args:
        folder: The adapter's.
        why: What is wrong with it.
    """

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"the adapter at {str(folder)!r} does not fit the base: {why}")
        self.folder = folder


def check_adapters(base: Path, adapters: Mapping[str, Path], *, trust_base: bool) -> None:
    """Refuse adapters that must not be put on a base together.

    Args:
        base: The base's folder.
        adapters: A folder in PEFT's format for each group.
        trust_base: Take those, too, of which no manifest says what base they belong to.

    Raises:
        DataError: One is refused; see `check_adapter`.
        UsageError: The base is none.
    """
    known = {folder: (folder / MANIFEST).is_file() for folder in adapters.values()}
    unknown = [str(folder) for folder, has_manifest in known.items() if not has_manifest]
    if unknown and not trust_base:
        raise DataError(
            f"nothing says what base {', '.join(unknown)} belongs to: no {MANIFEST}; a wrong one "
            "gives no error, only bad text; where you know it, load with trust_base=True"
        )
    found = fingerprint(base) if any(known.values()) else None
    for folder, has_manifest in known.items():
        check_adapter(folder, found if has_manifest else None)


def check_adapter(folder: Path, base: Fingerprint | None) -> None:
    """Refuse what must not be put on a base.

    Args:
        folder: An adapter in PEFT's format.
        base: What it is to be put on; None takes one of any base.

    Raises:
        DataError: It is incomplete, pickled, of a kind that cannot be mixed, or of another base.
    """
    if not (folder / ADAPTER).is_file():
        raise DataError(
            f"{str(folder)!r} is no adapter that can be loaded: no {ADAPTER} "
            "(other formats are pickles, which run code; save it again as safetensors)"
        )
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        kind = config["peft_type"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DataError(f"{str(folder)!r} has no readable {ADAPTER_CONFIG}: {exc}") from exc
    special = [name for name in _SPECIAL if config.get(name) and config[name] != "none"]
    if kind != "LORA" or special:
        raise DataError(
            f"{str(folder)!r} cannot be served beside others: it is "
            f"{' with '.join([kind, *special])}; plain LoRA is what can be mixed in one batch"
        )
    if base is not None:
        _check_base(folder, base)


def _check_base(folder: Path, base: Fingerprint) -> None:
    meant = read_manifest(folder).base
    for what, here, there in (
        ("weights", base.sha256, meant.sha256),
        ("tokenizer", base.tokenizer_sha256, meant.tokenizer_sha256),
        ("chat template", base.template_sha256, meant.template_sha256),
    ):
        if here != there:
            raise DataError(
                f"{str(folder)!r} belongs to another base: it was tuned on {meant.name!r}, whose "
                f"{what} differ from this one's; serve it on that base, or tune the group again"
            )
