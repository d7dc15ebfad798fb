"""Pairs as rows of other tools' data sets.

- TRL: conversational preference format, as our own files have it
- LLaMA-Factory: its ShareGPT format with ``ranking``, and the entry of ``dataset_info.json`` that
  makes a file known (https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md)
- Axolotl: the columns of ``rl: dpo`` with ``type: chat_template.default``
  (https://docs.axolotl.ai/docs/rlhf.html)

Every row carries ``subject``, by which forgetting a person finds it; the tools leave it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.errors import UsageError

Format = Literal["axolotl", "llama-factory", "trl"]

Row = dict[str, Any]

_FROM: Final = {"system": "system", "user": "human", "assistant": "gpt"}


def trl_row(pair: Pair) -> Row:
    """A row for TRL."""
    return {
        "prompt": _dumped(pair.prompt),
        "chosen": _dumped(pair.chosen),
        "rejected": _dumped(pair.rejected),
        "subject": pair.subject,
    }


def axolotl_row(pair: Pair) -> Row:
    """A row for Axolotl."""
    return {
        "messages": _dumped(pair.prompt),
        "chosen": pair.chosen[0].model_dump(),
        "rejected": pair.rejected[0].model_dump(),
        "subject": pair.subject,
    }


def llama_factory_row(pair: Pair) -> Row | None:
    """A row for LLaMA-Factory.

    Returns:
        None where users and assistants do not take turns: such a row would be skipped there.
    """
    spoken = pair.prompt[1:] if pair.prompt[0].role == "system" else pair.prompt
    turns = ["user" if i % 2 == 0 else "assistant" for i in range(len(spoken))]
    if len(spoken) % 2 == 0 or [message.role for message in spoken] != turns:
        return None
    return {
        "conversations": [_told(message) for message in pair.prompt],
        "chosen": _told(pair.chosen[0]),
        "rejected": _told(pair.rejected[0]),
        "subject": pair.subject,
    }


def dataset_entry(file: str) -> dict[str, Any]:
    """What ``dataset_info.json`` says of a file for LLaMA-Factory.

    Args:
        file: Its name, beside ``dataset_info.json``.
    """
    return {
        "file_name": file,
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }


ROWS: Final[Mapping[Format, Callable[[Pair], Row | None]]] = MappingProxyType(
    {"axolotl": axolotl_row, "llama-factory": llama_factory_row, "trl": trl_row}
)
"""How each tool's rows are made."""


def format_named(name: str) -> Format:
    """A format by its name.

    Args:
        name: ``axolotl``, ``llama-factory`` or ``trl``.

    Raises:
        UsageError: It is another.
    """
    for known in ROWS:
        if name == known:
            return known
    raise UsageError(f"{name!r} is no format that pairs are written in: {', '.join(ROWS)}")


def _dumped(said: Sequence[Said]) -> list[dict[str, Any]]:
    return [message.model_dump() for message in said]


def _told(said: Said) -> dict[str, str]:
    return {"from": _FROM[said.role], "value": said.content}
