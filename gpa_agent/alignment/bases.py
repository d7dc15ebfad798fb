"""Where a base lies: a folder, or a model fetched by its name on the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gpa_agent.errors import ModelError, UsageError

_NAME: Final = re.compile(r"\w[\w.-]*/[\w.-]+")
"""``owner/name``; what begins with a dot is a folder that is not there."""
_FILES: Final = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""What is fetched: weights that are no pickles, and what belongs to the tokenizer."""


def is_folder(base: str) -> bool:
    """Whether a base lies here, and is not to be fetched by its name.

    Args:
        base: A folder, or ``owner/name``.
    """
    return Path(base).expanduser().is_dir()


def find_base(base: str) -> Path:
    """Find a base, fetching it where it is named as on the hub.

    Call `gpa_agent.alignment.deps.require` before, with ``hub=True`` where it may be fetched.

    Args:
        base: A folder, or ``owner/name``.

    Returns:
        The folder.

    Raises:
        UsageError: It is neither.
        ModelError: It cannot be fetched.
    """
    if is_folder(base):
        return Path(base).expanduser().resolve()
    if not _NAME.fullmatch(base):
        raise UsageError(
            f"the base {base!r} is no folder here, and no name on the hub (owner/name)"
        )
    from huggingface_hub import snapshot_download  # noqa: PLC0415 -- the extra `finetune`

    try:
        return Path(snapshot_download(base, allow_patterns=list(_FILES)))
    except Exception as exc:  # whatever the network and the hub can raise
        raise ModelError(
            f"the base {base!r} is no folder here and cannot be fetched from the hub "
            f"({type(exc).__name__}); check the name and the network, or give a folder"
        ) from exc
