"""Sentence embeddings: one protocol, and whatever this machine has behind it."""

from __future__ import annotations

from gpa_agent.embedding.finding import find_encoder
from gpa_agent.embedding.hashing import HashingEncoder
from gpa_agent.embedding.minilm import MiniLMEncoder
from gpa_agent.embedding.onnx import OnnxEncoder
from gpa_agent.embedding.protocol import LangChainEncoder, TextEncoder

__all__ = [
    "HashingEncoder",
    "LangChainEncoder",
    "MiniLMEncoder",
    "OnnxEncoder",
    "TextEncoder",
    "find_encoder",
]
