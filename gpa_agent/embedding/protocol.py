"""What the package asks of a sentence encoder, and the seam to LangChain's ``Embeddings``.

One protocol, so that classifiers, retrieval and tests never ask which model stands behind
it. Rows are L2-normalised: a dot product is a cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpa_agent.errors import ModelError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

MINILM: Final = "minilm"
"""Name of every encoder that computes all-MiniLM-L6-v2, whichever copy it runs."""
MINILM_DIM: Final = 384


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into unit vectors; the same text always gives the same vector."""

    @property
    def name(self) -> str:
        """Which vectors these are: equal names mean vectors that may be compared."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def origin(self) -> str:
        """Where the encoder was found, in words for a screen."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts as an (n, dim) array of L2-normalised rows."""
        ...


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length one; a row of zeros stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(length, 1e-12)).astype(np.float32, copy=False)
    return unit


class LangChainEncoder:
    """Any LangChain ``Embeddings`` as a ``TextEncoder``.

    The dimension is asked for once, when the adapter is made.

    Args:
        embeddings: The LangChain object.
        name: Which vectors these are; put the model into it, because classifiers trained over one
            encoder refuse another by name and dimension.
    """

    def __init__(self, embeddings: Embeddings, *, name: str) -> None:
        self.name = name
        self.origin = f"LangChain embeddings {type(embeddings).__name__!r}"
        self._embeddings = embeddings
        self.dim = len(self._ask(["dimension"])[0])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts with the wrapped object.

        Args:
            texts: What to encode.

        Returns:
            An (n, dim) array of L2-normalised rows.

        Raises:
            ModelError: If the wrapped object fails or answers with vectors of another shape.
        """
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        try:
            vectors = np.asarray(self._ask(list(texts)), np.float32)
        except ValueError as exc:
            raise ModelError(f"{self.origin} answered with rows of unequal length") from exc
        if vectors.shape != (len(texts), self.dim):
            raise ModelError(
                f"{self.origin} answered with shape {vectors.shape!r} where "
                f"{(len(texts), self.dim)!r} was expected"
            )
        return unit_rows(vectors)

    def _ask(self, texts: list[str]) -> list[list[float]]:
        try:
            return self._embeddings.embed_documents(texts)
        except Exception as exc:
            raise ModelError(f"{self.origin} failed: {exc}") from exc
