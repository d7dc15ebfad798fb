"""What rows are about, and whether it is still there.

Stages work on what they read before, and store what they found afterwards. A person who is
forgotten in between must not come back with it: what is about a turn, a conversation or a pair
that is gone is not stored, in the very transaction that would store it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, select, tuple_

from gpa_agent.ledger.tables import conversations, pairs, turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAGE: Final = 200
"""How many are looked up at a time: databases bound the parameters of a statement."""

_T = TypeVar("_T")


def gone(connection: Connection, inputs: Iterable[str]) -> set[str]:
    """Of input ids and subjects, those that name what is not in the ledger.

    What is found is kept from being forgotten until the transaction ends.

    Args:
        connection: In a transaction.
        inputs: ``t:<conversation>:<idx>``, ``conversation:<id>``, ``c:<pair>``, ``r:<pair>``,
            ``pair:<id>``; anything else names nobody, and is never gone.
    """
    by_turn: dict[tuple[str, int], str] = {}
    by_conversation: dict[str, list[str]] = {}
    by_pair: dict[str, list[str]] = {}
    for said in inputs:
        kind, _, name = said.partition(":")
        conversation, _, idx = name.rpartition(":")
        if kind == "t" and idx.isdecimal():
            by_turn[conversation, int(idx)] = said
        elif kind == "conversation":
            by_conversation.setdefault(name, []).append(said)
        elif kind in ("c", "r", "pair"):
            by_pair.setdefault(name, []).append(said)
    missing = {by_turn[key] for key in by_turn.keys() - _turns(connection, by_turn)}
    for table, wanted in ((conversations, by_conversation), (pairs, by_pair)):
        for page in _pages(wanted):
            here = select(table.c.id).where(table.c.id.in_(page)).with_for_update(key_share=True)
            found = set(connection.execute(here).scalars())
            missing |= {said for name in page if name not in found for said in wanted[name]}
    return missing


def _turns(connection: Connection, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    key = (turns.c.conversation_id, turns.c.idx)
    for page in _pages(wanted):
        here = select(*key).where(tuple_(*key).in_(page)).with_for_update(key_share=True)
        found |= {(row[0], row[1]) for row in connection.execute(here)}
    return found


def _pages(wanted: Iterable[_T]) -> Iterator[list[_T]]:
    left = iter(wanted)
    while page := list(islice(left, _PAGE)):
        yield page
