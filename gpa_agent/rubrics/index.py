"""Rubrics by meaning: a Chroma index over live aspects that can be rebuilt at any time.

SQL is the only truth (`docs/decisions/0002-sql-is-the-truth.md`): nothing is here that is not in
the ledger. It is made anew when the fingerprint of what it was built from differs, and when it
is damaged (Chroma 1.5.9 stays broken after a full disk). Embedded, one process's own path,
embeddings always passed in, telemetry off, never a port.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpa_agent.errors import StoreError
from gpa_agent.rubrics.records import Aspect, Rubric

if TYPE_CHECKING:
    from gpa_agent.embedding import TextEncoder

logger = logging.getLogger(__name__)

_COLLECTION = "live-aspects"
_FINGERPRINT = "fingerprint"


_HEADER = struct.Struct("<i4Q")
"""Of a vector file (hnswlib in Chroma): version, offset, room, items, bytes an item."""


class RubricIndex:
    """A Chroma collection of live aspects.

    Args:
        path: Folder of the index; belongs to this process alone.
        encoder: Turns texts into vectors.
    """

    def __init__(self, path: Path, encoder: TextEncoder) -> None:
        self._path = path
        self._encoder = encoder
        self._client: Any = None

    def close(self) -> None:
        """Let go of the files."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def search(
        self, rubrics: Sequence[Rubric], text: str, *, limit: int
    ) -> list[tuple[Rubric, Aspect, float]]:
        """Live aspects nearest in meaning, after bringing the index up to date.

        Args:
            rubrics: What is live now, from the ledger.
            text: What to look for.
            limit: How many at most.

        Returns:
            (rubric, aspect, cosine similarity), best first.

        Raises:
            StoreError: The index cannot be written even when made anew.
        """
        entries = _entries(rubrics)
        if not entries or limit < 1:
            return []
        vector, nearest = self._encoder.encode([text]), min(limit, len(entries))
        try:
            found = _nearest(self._current(entries), vector, nearest)
        except StoreError:
            raise
        except Exception as exc:  # noqa: BLE001 -- its files went while it was open
            logger.warning("the rubric index is gone and is made anew: %s", type(exc).__name__)
            wanted = _fingerprint(entries, self._encoder.name)
            found = _nearest(self._build_elsewhere(entries, wanted), vector, nearest)
        distances = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(*entries[id_], 1.0 - float(distance)) for id_, distance in distances]

    def _current(self, entries: dict[str, tuple[Rubric, Aspect]]) -> Any:  # noqa: ANN401 -- untyped library
        wanted = _fingerprint(entries, self._encoder.name)
        try:
            collection = self._open()
            if (
                collection is not None
                and (collection.metadata or {}).get(_FINGERPRINT) == wanted
                and collection.count() == len(entries)
            ):
                return collection
            return self._build(entries, wanted)
        except Exception as exc:  # noqa: BLE001 -- Chroma raises bare and Rust errors when damaged
            logger.warning("the rubric index is damaged and is made anew: %s", type(exc).__name__)
            return self._build_elsewhere(entries, wanted)

    def _build_elsewhere(self, entries: dict[str, tuple[Rubric, Aspect]], wanted: str) -> Any:  # noqa: ANN401 -- untyped library
        """Make the index in a new folder: Chroma keeps a failed client of the old one in memory."""
        try:
            self._client = None
            old = self._folders()
            (self._path / f"index-{time.time_ns():020d}").mkdir(parents=True)
            collection = self._build(entries, wanted)
            for folder in old:
                shutil.rmtree(folder, ignore_errors=True)
        except Exception as exc:
            raise StoreError(
                f"cannot make the rubric index at {self._path}: {exc}; "
                "check permissions and free space"
            ) from exc
        return collection

    def _folders(self) -> list[Path]:
        return sorted(p for p in self._path.glob("index-*") if p.is_dir())

    def _open(self) -> Any:  # noqa: ANN401 -- untyped library
        if self._client is None:
            import chromadb  # noqa: PLC0415 -- half a second, and only searching needs it
            from chromadb.config import Settings as ChromaSettings  # noqa: PLC0415 -- as above

            folder = self._folders()[-1] if self._folders() else self._path / "index-0"
            folder.mkdir(parents=True, exist_ok=True)
            self._client = chromadb.PersistentClient(
                path=str(folder), settings=ChromaSettings(anonymized_telemetry=False)
            )
        names = {c.name for c in self._client.list_collections()}
        if _COLLECTION not in names:
            return None
        return self._client.get_collection(_COLLECTION, embedding_function=None)

    def _build(self, entries: dict[str, tuple[Rubric, Aspect]], fingerprint: str) -> Any:  # noqa: ANN401 -- untyped library
        if self._open() is not None:
            self._client.delete_collection(_COLLECTION)
        collection = self._client.create_collection(
            _COLLECTION,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
            metadata={_FINGERPRINT: fingerprint},
        )
        texts = [_text(r, a) for r, a in entries.values()]
        collection.add(ids=list(entries), embeddings=self._encoder.encode(texts))
        for folder in self._folders():
            _wipe_unused(folder)
        return collection


def _nearest(collection: Any, vector: Any, nearest: int) -> Any:  # noqa: ANN401 -- untyped library
    return collection.query(query_embeddings=vector, n_results=nearest, include=["distances"])


def _wipe_unused(folder: Path) -> None:
    """Zero the room that Chroma's vector files keep for items to come.

    It is written as it was found in memory, so it may hold whatever this process has handled:
    texts of a person who was forgotten, for one. Chroma reads nothing of it.
    """
    for header in folder.rglob("header.bin"):
        data = header.with_name("data_level0.bin")
        if not data.exists() or header.stat().st_size < _HEADER.size:
            continue
        version, _, room, items, size = _HEADER.unpack_from(header.read_bytes())
        if version == 1 and room * size == data.stat().st_size:
            with data.open("r+b") as file:
                file.seek(items * size)
                file.write(bytes((room - items) * size))


def _entries(rubrics: Sequence[Rubric]) -> dict[str, tuple[Rubric, Aspect]]:
    """Live aspects under deterministic ids; names are hashed because Chroma restricts ids."""
    entries: dict[str, tuple[Rubric, Aspect]] = {}
    for rubric in rubrics:
        for aspect in rubric.aspects:
            name = [rubric.intent, *rubric.contrast.model_dump().values(), aspect.name]
            digest = hashlib.sha256(json.dumps([*name, rubric.version]).encode()).hexdigest()
            entries[digest[:32]] = (rubric, aspect)
    return entries


def _text(rubric: Rubric, aspect: Aspect) -> str:
    return " ".join([rubric.intent, aspect.name, aspect.interpretation, *aspect.guidance.values()])


def _fingerprint(entries: dict[str, tuple[Rubric, Aspect]], encoder: str) -> str:
    texts = [[id_, _text(r, a)] for id_, (r, a) in sorted(entries.items())]
    return hashlib.sha256(json.dumps([encoder, texts]).encode()).hexdigest()
