"""What a chat model's message says beside its text: why it stopped and what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "safety": "content_filter",
}
"""Other providers' words for what OpenAI's chat completions say; compared in lower case."""

_PLACES: Final = ("finish_reason", "stop_reason", "done_reason", "status")
"""Where providers say it: OpenAI and Google, Anthropic, Ollama, OpenAI's responses."""


class Usage(NamedTuple):
    """Tokens of one call.

    Attributes:
        input_tokens: Tokens sent, cached ones included.
        output_tokens: Tokens answered.
        cached_tokens: Tokens of the input that the provider had cached.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


def usage_of(message: AIMessage) -> Usage | None:
    """What a call used; None where the provider does not say."""
    said = message.usage_metadata
    if not said:
        return None
    cached = (said.get("input_token_details") or {}).get("cache_read") or 0
    return Usage(said["input_tokens"], said["output_tokens"], cached)


def finish_reason(message: AIMessage) -> str:
    """Why a model stopped, in one vocabulary for all providers.

    Args:
        message: A fresh answer, or one rebuilt from the ledger.

    Returns:
        ``stop``, ``length`` (cut by the token limit), ``content_filter``, ``refusal``, or the
        provider's own word in lower case where it is none of these; ``stop`` where the provider
        says nothing.
    """
    if message.additional_kwargs.get("refusal"):
        return "refusal"
    metadata = message.response_metadata
    cut = (metadata.get("incomplete_details") or {}).get("reason")
    said = cut or next((metadata[name] for name in _PLACES if metadata.get(name)), "stop")
    word = str(said).lower()
    return _REASONS.get(word, word)
