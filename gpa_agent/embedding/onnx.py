"""all-MiniLM-L6-v2 run by onnxruntime: the copy Chroma keeps, or any folder with ``model.onnx``.

We call onnxruntime ourselves, because Chroma's embedding function pads every text to 256
tokens: a short text costs a tenth without that, and the vectors are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding.batches import embed, load_tokenizer
from gpa_agent.embedding.protocol import MINILM, MINILM_DIM
from gpa_agent.errors import DataError


class OnnxEncoder:
    """all-MiniLM-L6-v2 from an ONNX file, on one thread of the CPU.

    Args:
        folder: Holds ``model.onnx`` and ``tokenizer.json``.
        origin: Where the folder was found, in words for a screen.

    Raises:
        DataError: If a file is missing, damaged or of another model.
    """

    name = MINILM
    dim = MINILM_DIM

    def __init__(self, folder: Path, *, origin: str) -> None:
        import onnxruntime  # noqa: PLC0415 -- heavy, and only this encoder needs it

        self.origin = origin
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1  # a chat app's cores are its own
        path = folder / "model.onnx"
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime's own exceptions share no other base
            raise DataError(f"{str(path)!r} cannot be read as an ONNX model: {exc}") from exc
        self._inputs = {item.name for item in self._session.get_inputs()}
        self._tokenizer = load_tokenizer(folder / "tokenizer.json")
        try:
            self.encode(["shape"])
        except Exception as exc:
            raise DataError(f"{str(path)!r} is not all-MiniLM-L6-v2: {exc}") from exc

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Args:
            texts: What to encode; beyond 256 tokens a text is cut.

        Returns:
            (n, 384) L2-normalised rows.
        """
        return embed(texts, self._tokenizer, self._forward)

    def _forward(self, tokens: NDArray[np.int64], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        given = {
            "input_ids": tokens,
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": np.zeros_like(tokens),
        }
        hidden = self._session.run(None, {k: v for k, v in given.items() if k in self._inputs})[0]
        return np.asarray(hidden, np.float32)
