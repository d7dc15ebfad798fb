"""Reading a taxonomy of intents from a file: JSON, or TOML.

Either ``{"debugging": "Why code fails and how to repair it."}`` or, with example questions,
``{"debugging": {"description": "...", "examples": ["Why do I get a KeyError?"]}}``.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from gpa_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gpa_agent.settings import Intent


def read_intents(path: Path | None) -> dict[str, Intent] | None:
    """Read a taxonomy; None where no file was named.

    Args:
        path: A ``.json`` or ``.toml`` file.

    Raises:
        UsageError: There is no such file, or it is of another kind.
        DataError: The file does not hold a taxonomy; the message names what is wrong where.
    """
    if path is None:
        return None
    if path.suffix not in {".json", ".toml"}:
        raise UsageError(f"{str(path)!r}: intents are read from a .json or .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not UTF-8 text: {error}") from error
    try:
        raw: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not valid {path.suffix[1:].upper()}: {error}") from error
    return _validated(raw, path)


def _validated(raw: Any, path: Path) -> dict[str, Intent]:  # noqa: ANN401 -- whatever the file holds
    from pydantic import TypeAdapter, ValidationError

    from gpa_agent.settings import Intent

    if not isinstance(raw, dict) or not raw:
        raise DataError(
            f"{str(path)!r} holds no intents; expected an object like "
            '{"debugging": "Why code fails and how to repair it."}'
        )
    entries = {k: {"description": v} if isinstance(v, str) else v for k, v in raw.items()}
    try:
        return TypeAdapter(dict[str, Intent]).validate_python(entries)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{str(path)!r}: {where}: {first['msg']}") from error


def plain(intents: dict[str, Intent] | None) -> dict[str, Any] | None:
    """A taxonomy as the plain values that ``Workspace.open`` takes."""
    if intents is None:
        return None
    return {name: intent.model_dump(mode="json") for name, intent in intents.items()}
