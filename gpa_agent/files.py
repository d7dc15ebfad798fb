"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gpa_agent.errors import StoreError


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write beside the target, force to disk, rename over it, force the folder to disk.

    Args:
        path: The file; its folder is made where it is missing.
        content: All of it.
        mode: Permissions of the file.

    Raises:
        StoreError: It cannot be written (read-only, full disk); what was there is untouched.
    """
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        scratch = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(mode)
        scratch.replace(path)
        scratch = None
    except OSError as exc:
        raise StoreError(
            f"cannot write {path}: {exc.strerror or exc}; check permissions and free space"
        ) from exc
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink()
    with contextlib.suppress(OSError):  # a folder cannot be opened on Windows; the file is safe
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
