"""Chroma's ONNX copy of MiniLM from where Chroma gets it, or a quick no.

The archive's address and SHA-256 are those in Chroma's ``ONNXMiniLM_L6_V2``. It is unpacked where
Chroma keeps it, so both share one copy. Everything happens in a scratch folder that is renamed
into place at the end: nothing half-downloaded is ever left or found. The deadline covers name
lookup, connection and transfer together, so that a network that swallows packets costs seconds.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

URL: Final = "https://chroma-onnx-models.s3.amazonaws.com/all-MiniLM-L6-v2/onnx.tar.gz"
ARCHIVE_SHA256: Final = "913d7300ceae3b2dbc2c50d1de4baacab4be7b9380491c27fab7418616a16ec3"
SECONDS: Final = 3.0
"""All the time the network gets."""

logger = logging.getLogger(__name__)


class _TooLateError(Exception):
    """The deadline has passed; the scratch folder goes, nothing is kept."""


def download_minilm(
    cache: Path, *, url: str = URL, sha256: str = ARCHIVE_SHA256, seconds: float = SECONDS
) -> bool:
    """Fetch the archive and unpack it to ``cache / "onnx"``.

    Args:
        cache: Chroma's folder for this model.
        url: Address of the archive.
        sha256: What the archive must hash to.
        seconds: Time after which it is given up, whatever it is waiting for.

    Returns:
        Whether the model is there now.
    """
    deadline = time.monotonic() + seconds
    outcome: list[bool] = []

    def work() -> None:
        outcome.append(_fetch(cache, url, sha256, deadline))

    # A daemon: a name lookup cannot be interrupted, and must not hold up the process's end.
    thread = threading.Thread(target=work, name="gpa-minilm-download", daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(outcome and outcome[0])


def _fetch(cache: Path, url: str, sha256: str, deadline: float) -> bool:
    import httpx  # noqa: PLC0415 -- 60 ms that only a download needs

    def check_time() -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _TooLateError
        return left

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".gpa-") as scratch:
            archive = Path(scratch, "onnx.tar.gz")
            timeout = httpx.Timeout(check_time())
            with httpx.stream("GET", url, timeout=timeout) as answer, archive.open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    check_time()
                    file.write(chunk)
            return _unpack(archive, sha256, cache / "onnx", check_time)
    except _TooLateError:
        logger.info("gave up downloading MiniLM: not done in time")
    except (httpx.HTTPError, OSError, tarfile.TarError) as exc:
        logger.info("could not download MiniLM: %s", exc)
    return False


def _unpack(archive: Path, sha256: str, target: Path, check_time: Callable[[], float]) -> bool:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        logger.warning("the downloaded MiniLM has SHA-256 %r, not %r: thrown away", found, sha256)
        return False
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(archive.parent, filter="data")
    check_time()  # a caller that has given up must not find the model appear later
    (archive.parent / "onnx").rename(target)
    return True
