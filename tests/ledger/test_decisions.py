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
