"""Where a workspace's settings and its people key lie on disk, and how they are read.

``settings.json`` holds what was set explicitly; environment variables win over it for a
process and are never written. Files are written whole or not at all (temporary file, fsync,
rename).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpa_agent.errors import StoreError, UsageError, WorkspaceError
from gpa_agent.files import write_whole
from gpa_agent.settings import Settings

FORMAT = 1
"""Version of the workspace's layout; a larger one was written by a newer gpa-agent."""
_SETTINGS = "settings.json"
_KEY = "people.key"
_ELSEWHERE = "ledger.elsewhere"


def load_settings(folder: Path, given: Mapping[str, Any], *, create: bool) -> Settings:
    """The settings of a workspace: given, else environment, else stored, else default.

    Args:
        folder: The workspace.
        given: Settings passed by the caller.
        create: Whether the folder may be made.

    Raises:
        UsageError: A setting is wrong, or the workspace is missing and ``create`` is False.
        WorkspaceError: The folder is not a workspace, or from a newer version.
        StoreError: The folder cannot be made or read.
    """
    stored = _stored(folder, create=create)
    try:
        environment = Settings()
        from_environment = {n: getattr(environment, n) for n in environment.model_fields_set}
        if unknown := stored.keys() - Settings.model_fields.keys():
            raise WorkspaceError(
                f"{folder / _SETTINGS} holds settings this gpa-agent does not know "
                f"({', '.join(sorted(unknown))}): written by a newer one, or misspelt"
            )
        return Settings.model_validate({**stored, **from_environment, **given})
    except ValidationError as exc:
        # Without its cause, which repeats what was given.
        raise UsageError(f"wrong setting: {_first(exc)}") from None


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    # What is passed on to a model's provider may hold a secret, and is never shown.
    got = "" if where == "model_parameters" else f" (got {detail.get('input')!r:.80})"
    return f"{where}: {detail['msg']}{got}"


def _stored(folder: Path, *, create: bool) -> dict[str, Any]:
    path = folder / _SETTINGS
    try:
        if not path.exists():
            _make(folder, create=create)
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as exc:
        raise WorkspaceError(
            f"{path} is not valid JSON ({exc}); restore it, or delete it to start from defaults"
        ) from exc
    except OSError as exc:
        raise StoreError(f"cannot read or make the workspace {folder}: {exc}") from exc
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise WorkspaceError(f"{path} is not a gpa-agent settings file; is {folder} a workspace?")
    if content["format"] > FORMAT:
        raise WorkspaceError(
            f"the workspace {folder} was written by a newer gpa-agent "
            f"(format {content['format']}, this one knows {FORMAT}); upgrade gpa-agent"
        )
    return {name: value for name, value in content.items() if name != "format"}


def _make(folder: Path, *, create: bool) -> None:
    ours = any((folder / name).exists() for name in ("ledger.sqlite", _KEY))
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise WorkspaceError(
            f"{folder} is a folder with other things in it, not a workspace; name a new folder"
        )
    if folder.exists() and not folder.is_dir():
        raise WorkspaceError(f"{folder} is a file, not a workspace; name a folder")
    if not folder.exists() and not create:
        raise UsageError(f"there is no workspace at {folder}; make one with: gpa init {folder}")
    # What users wrote is inside: nobody else on the machine need read it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def store_settings(folder: Path, given: Mapping[str, Any]) -> None:
    """Add what was given to the stored settings; without anything new the file stays as it is.

    Raises:
        StoreError: The file cannot be written; the old one is untouched.
    """
    path = folder / _SETTINGS
    stored = _stored(folder, create=True)
    fields = Settings.model_validate({**stored, **given}).model_dump(mode="json")
    kept = {name: fields[name] for name in sorted({*stored, *given})}
    content = json.dumps({"format": FORMAT, **kept}, indent=2, ensure_ascii=False) + "\n"
    if not path.exists() or kept != stored:
        write_whole(path, content.encode())


def people_key(folder: Path) -> bytes:
    """The key under which user ids are hashed: ``GPA_PEOPLE_KEY``, else the workspace's own.

    The file is made at first use, readable by its owner only. Who loses it cannot find a user's
    rows again; who publishes it lets others test whether a known id is among them.

    Raises:
        WorkspaceError: The file is damaged.
        StoreError: It cannot be read or made.
    """
    from_environment = os.environ.get("GPA_PEOPLE_KEY")
    if from_environment:
        return from_environment.encode()
    path = folder / _KEY
    try:
        if not path.exists():
            if (folder / "ledger.sqlite").exists():
                raise WorkspaceError(
                    f"{path} is missing, and with it nobody in the ledger can be found again; "
                    "restore it from a backup, or set GPA_PEOPLE_KEY to the key that was used"
                )
            # Written whole and then linked into place: of two first openings one wins, and both
            # read the winner's key.
            fresh = path.with_name(f".{_KEY}.{secrets.token_hex(8)}")
            write_whole(fresh, secrets.token_hex(32).encode(), mode=0o600)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        key = path.read_bytes().strip()
    except OSError as exc:
        raise StoreError(f"cannot read or make {path}: {exc}") from exc
    if len(key) < 32:
        raise WorkspaceError(f"{path} is damaged: a key of 64 hexadecimal digits was expected")
    return key


def ledger_of(folder: Path, given: str | None) -> str | Path:
    """Where a workspace's ledger is: the URL given, else the folder's own file.

    Args:
        folder: The workspace.
        given: URL of a database; None or empty where the ledger is in the folder.

    Raises:
        UsageError: The folder's ledger was elsewhere before: an empty one of its own would
            serve nobody, and turns would go to the wrong place.
    """
    own, elsewhere = folder / "ledger.sqlite", folder / _ELSEWHERE
    if given:
        return given
    if elsewhere.exists() and not own.exists():
        raise UsageError(
            f"the ledger of {folder} is in {elsewhere.read_text(encoding='utf-8').strip()}: set "
            f"GPA_LEDGER to its URL in this process too (or delete {elsewhere} to begin anew here)"
        )
    return own


def remember_ledger(folder: Path, name: str) -> None:
    """Note where the ledger is, if that is elsewhere, so that no process makes another by mistake.

    Args:
        folder: The workspace.
        name: The ledger as it may be shown, without a password.

    Raises:
        StoreError: The note cannot be written.
    """
    path = folder / _ELSEWHERE
    if "://" in name and not path.exists():
        write_whole(path, f"{name}\n".encode())
