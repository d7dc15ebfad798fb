"""Group models for servers that are not ours: merged folders, and the line that starts vLLM.

A merged model is a whole model of its own, which any server loads that loads the base
(``transformers serve``, TGI, llama.cpp after conversion), and costs the base's memory for every
group. vLLM and SGLang serve all groups over one base from the adapters as they are.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from gpa_agent.alignment.bases import find_base, is_folder
from gpa_agent.alignment.deps import require
from gpa_agent.alignment.faults import mapped
from gpa_agent.alignment.fingerprints import fingerprint
from gpa_agent.alignment.manifest import Manifest, Run, read_manifest
from gpa_agent.alignment.pair import folder_name
from gpa_agent.alignment.serving.adapters import check_adapter
from gpa_agent.alignment.serving.shelf import Shelf, may_serve, read_shelf
from gpa_agent.alignment.tuning.checkpoints import ADAPTER_CONFIG
from gpa_agent.errors import DataError, UsageError
from gpa_agent.files import write_whole

_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for ``--max-lora-rank`` (docs.vllm.ai, vllm.config.lora, ``MaxLoRARanks``)."""
_KINDS: Final = frozenset({".jinja", ".json", ".model", ".txt"})
"""Files of a base beside its weights: tokenizer, chat template, generation settings, license."""
_WITH_WEIGHTS: Final = ("config.json", "model.safetensors.index.json")
"""Those of them that are written with the weights."""


class Launch(NamedTuple):
    """How a server of group models is started, and how it is asked.

    Attributes:
        line: For a shell.
        models: The server's name of each group's model, as `GroupModels.endpoint` takes it.
        refused: Groups that are left out, with the reason.
    """

    line: str
    models: Mapping[str, str]
    refused: Mapping[str, str]


def serve_command(
    workspace: Path,
    *,
    groups: Sequence[str] | None = None,
    base: Path | str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
) -> Launch:
    """Write the line that serves a workspace's group models with vLLM.

    The server knows nothing of what is tuned or marked stale after it was started: start it anew
    with a new line then.

    Args:
        workspace: The workspace's folder.
        groups: None takes all that may serve.
        base: Folder of the base or its name on the hub; None takes what the newest adapter was
            tuned on.
        host: Where it listens.
        port: Where it listens.

    Returns:
        The line, and what to ask for.

    Raises:
        UsageError: A group has no model that may serve, none has, or ``base`` is not theirs.
        DataError: An adapter cannot be served beside others.
    """
    shelf = read_shelf(workspace / "models")
    runs = _chosen(shelf, groups)
    newest = max(runs.values(), key=lambda run: run.manifest.created_at).manifest
    name = _served_base(str(base) if base is not None else newest.base.name)
    # vLLM takes an adapter of any base whose layers have the same shapes, without a word.
    there = base is not None and is_folder(name)
    weights = (fingerprint(Path(name)) if there else newest.base).sha256
    fit = {g: run for g, run in runs.items() if run.manifest.base.sha256 == weights}
    other = f"it was tuned on another base than {name!r}"
    if not fit:
        raise UsageError(f"no group's model can be served: {', '.join(sorted(runs))}: {other}")
    for run in fit.values():
        check_adapter(run.path, None)
    refused = {**shelf.refused, **dict.fromkeys(runs.keys() - fit.keys(), other)}
    models = {group: folder_name(group) for group in sorted(fit)}
    modules = [f"{models[group]}={fit[group].path.resolve()}" for group in models]
    words = [
        *("vllm", "serve", name, "--host", host, "--port", str(port)),
        *("--enable-lora", "--max-loras", str(len(models))),
        *("--max-lora-rank", str(_room(fit)), "--lora-modules", *modules),
    ]
    return Launch(shlex.join(words), models, refused)


def merge_group(
    workspace: Path, group: str, target: Path, *, base: Path | str | None = None
) -> Path:
    """Merge what serves a group; see `merge`.

    Args:
        workspace: The workspace's folder.
        group: The group.
        target: The folder to make.
        base: As for `merge`.

    Raises:
        UsageError: The group has no model that may serve, or as for `merge`.
        DataError: As for `merge`.
        StoreError: As for `merge`.
    """
    run = _chosen(read_shelf(workspace / "models"), [group])[group]
    return merge(run.path, target, base=base)


def merge(adapter: Path, target: Path, *, base: Path | str | None = None) -> Path:
    """Add an adapter to its base's weights and write the whole, which needs neither PEFT nor us.

    Args:
        adapter: A run's folder, with its manifest.
        target: The folder to make; written whole or not at all.
        base: Folder of the base or its name on the hub; None takes what the manifest names.

    Returns:
        The folder: weights as safetensors in the base's precision, its tokenizer, chat template
        and generation settings byte for byte, and a card.

    Raises:
        MissingDependency: torch or its company is not installed.
        UsageError: The target is there already, the adapter may not serve, or there is no base.
        DataError: The adapter is damaged, or belongs to another base.
        StoreError: It cannot be written; nothing is left behind.

    Example:
        ```python
        merge(Path("my.gpa/models/groups/novice/0001"), Path("novice-merged"))
        ```
    """
    require("merge a group model")
    if target.exists():
        raise UsageError(f"{str(target)!r} is there already; name a new folder")
    manifest = read_manifest(adapter)
    if not (manifest.verdict.passed and may_serve(adapter)):
        why = "; ".join(manifest.verdict.reasons) or "stale"
        raise UsageError(f"{str(adapter)!r} may not serve ({why}), so it is not merged either")
    folder = find_base(str(base) if base is not None else manifest.base.name)
    check_adapter(adapter, fingerprint(folder))
    with mapped("merging"):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            _write_merged(folder, adapter, scratch, manifest)
            scratch.chmod(0o755)
            scratch.rename(target)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return target


def _write_merged(base: Path, adapter: Path, folder: Path, manifest: Manifest) -> None:
    _merged(base, adapter).save_pretrained(folder)
    for path in base.iterdir():
        # As they are: written anew by a library they may come out differently.
        if path.suffix in _KINDS and path.name not in _WITH_WEIGHTS:
            shutil.copyfile(path, folder / path.name)
    write_whole(folder / "README.md", _card(manifest).encode())
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors come out for their owner alone


def _merged(base: Path, adapter: Path) -> Any:  # noqa: ANN401 -- transformers' classes are made at run time
    from peft import PeftModel  # noqa: PLC0415 -- the extra `finetune`
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 -- as above
    from transformers.utils import logging  # noqa: PLC0415 -- as above

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", use_safetensors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's, about transformers 6
        merged: Any = PeftModel.from_pretrained(model, str(adapter))
    return merged.merge_and_unload(safe_merge=True)


def _card(manifest: Manifest) -> str:
    base = Path(manifest.base.name).name
    return (
        f"# Group model {folder_name(manifest.group)}, merged into its base\n\n"
        f"{base} (weights sha256 `{manifest.base.sha256}`) with an adapter tuned by gpa-agent\n"
        f"({manifest.method}, data sha256 `{manifest.data.sha256}`) added to its weights.\n\n"
        "The rows came from conversations of the app that it was tuned for, and it may repeat\n"
        "what they say. Where somebody in them is forgotten, delete it and merge a newer one.\n"
    )


def _chosen(shelf: Shelf, groups: Sequence[str] | None) -> dict[str, Run]:
    wanted = list(shelf.runs) if groups is None else groups
    for group in wanted:
        if group not in shelf.runs:
            why = shelf.refused.get(group, "none was tuned; tune one with 'gpa finetune'")
            raise UsageError(f"group {group!r} has no model that may serve: {why}")
    if not wanted:
        why = "; ".join(f"{group}: {said}" for group, said in shelf.refused.items())
        raise UsageError(f"no group has a model that may serve ({why or 'none was tuned'})")
    return {group: shelf.runs[group] for group in wanted}


def _served_base(name: str) -> str:
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def _room(runs: Mapping[str, Run]) -> int:
    """The least of vLLM's ranks that all adapters fit in."""
    highest = max(_rank(run.path) for run in runs.values())
    room = next((rank for rank in _RANKS if rank >= highest), None)
    if room is None:
        raise DataError(f"an adapter has rank {highest}; vLLM serves up to {_RANKS[-1]}")
    return room


def _rank(adapter: Path) -> int:
    said = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return max(int(rank) for rank in (said["r"], *(said.get("rank_pattern") or {}).values()))
