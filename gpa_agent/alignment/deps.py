"""What tuning and serving group models needs beyond the core: the extra ``finetune``.

The one place that looks for these packages and their versions. Nothing is imported here. The
libraries read their environment when they load, so this is called before the first of them:
they send nothing home, and unless a model is asked for by its name on the hub they stay off the
network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Final

from gpa_agent.errors import MissingDependency

Version = tuple[int, int]
EXTRA: Final = "finetune"
NEEDED: Final[Mapping[str, tuple[Version, Version | None]]] = {
    "accelerate": ((1, 10), None),
    "datasets": ((4, 0), None),
    "peft": ((0, 21), (0, 22)),
    "torch": ((2, 8), None),
    "transformers": ((5, 0), (6, 0)),
    "trl": ((1, 16), (1, 17)),
}
"""Distributions with the first version that will do and the first that will not, as the extra has
them: what is worked around here was looked up and tested in these."""
_QUIET: Final = {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def require(purpose: str, *, hub: bool = False) -> None:
    """Check that everything is installed, and keep the libraries quiet.

    Args:
        purpose: What it is needed for, as the end of "... is needed to".
        hub: Whether a model may be fetched by name; otherwise the libraries stay offline. What
            the environment says already is left as it is.

    Raises:
        MissingDependency: A package is missing or of a version that does not fit.
    """
    for package, (lowest, below) in NEEDED.items():
        found = _version(package)
        if found < lowest or (below is not None and found >= below):
            raise MissingDependency(requirement(package), extra=EXTRA, purpose=purpose)
    for name, value in {**_QUIET, **({} if hub else _OFFLINE)}.items():
        os.environ.setdefault(name, value)


def requirement(package: str) -> str:
    """A package with its range, as pip takes it.

    Args:
        package: One of `NEEDED`.
    """
    lowest, below = NEEDED[package]
    return f"{package}>={_dotted(lowest)}" + (f",<{_dotted(below)}" if below else "")


def versions() -> dict[str, str]:
    """The versions that are installed, as a manifest names them."""
    return {package: metadata.version(package) for package in ("gpa-agent", *NEEDED)}


def _version(package: str) -> Version:
    """Its first two numbers; (-1, 0) where it is not installed."""
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        return (-1, 0)
    major, minor = (int(number) for number in re.findall(r"\d+", found)[:2])
    return (major, minor)


def _dotted(version: Version) -> str:
    major, minor = version
    return f"{major}.{minor}" if minor else str(major)
