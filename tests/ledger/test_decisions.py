from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger


def test_what_is_held_stays_out_of_its_contrast_alone_until_released(ledger: Ledger) -> None:
    ledger.hold("debugging", "novice", "*", names=["lists", "code"])
    ledger.hold("debugging", "novice", "*", names=["lists"])
    assert ledger.held("debugging", "novice", "*") == {"lists", "code"}
    assert ledger.held("debugging", "expert", "*") == frozenset()
    ledger.release("debugging", "novice", "*", names=["lists"])
    assert ledger.held("debugging", "novice", "*") == {"code"}


def test_who_is_held_is_not_pinned_and_the_other_way_round(ledger: Ledger) -> None:
    key = ("debugging", "novice", "*")
    body = {"intent": "debugging", "contrast": {"group": "novice", "other": "*"}}
    ledger.publish(body | {"aspects": [{"name": "lists"}]}, reason="learned")
    ledger.hold(*key, names=["lists"])
    ledger.restore(intent="debugging", group="novice", version=1)
    assert ledger.standing(*key)[1:] == (frozenset(), frozenset({"lists"}))
    ledger.hold(*key, names=["lists"])
    assert ledger.standing(*key)[1:] == (frozenset({"lists"}), frozenset())
