from __future__ import annotations

import pytest

from gpa_agent.errors import WorkspaceError
from gpa_agent.ledger import Ledger


def test_another_people_key_is_refused_and_the_first_goes_on(where: str, ledger: Ledger) -> None:
    ledger.check_people_key()
    ledger.check_people_key()
    with (
        Ledger.open(where, people_key=b"another key of people") as other,
        pytest.raises(WorkspaceError, match=r"hashed under another key.*GPA_PEOPLE_KEY"),
    ):
        other.check_people_key()
    ledger.check_people_key()
