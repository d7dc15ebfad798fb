from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.alignment.pair import Pair, Said, folder_name, read_pairs, write_pairs
from gpa_agent.errors import DataError, UsageError


def pair(text: str = "Why?", **changes: object) -> Pair:
    return Pair.model_validate(
        {
            "prompt": [{"role": "user", "content": text}],
            "chosen": [{"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "assistant", "content": "No idea."}],
            "subject": "t:c1:0",
            "group": "novice",
            "intent": "debugging",
            **changes,
        }
    )


def test_pairs_come_back_as_they_were(tmp_path: Path) -> None:
    given = [pair("Grüße\u2028here", person="p", judgment=-1), pair(split="holdout")]
    path = tmp_path / "pairs" / "novice.jsonl"
    assert write_pairs(path, given) == 2
    assert list(read_pairs(path)) == given
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("subject", "person", "owner"),
    [
        ("t:c:1:0", None, "t:c:1"),  # all turns of a conversation that nobody is named in
        ("t:c:1:9", None, "t:c:1"),
        ("pair:a:1", None, "pair:a:1"),
        ("t:c:1:0", "p", "p"),
        ("pair:a:1", "p", "p"),
    ],
)
def test_a_pair_is_a_persons_or_its_conversations(
    subject: str, person: str | None, owner: str
) -> None:
    assert pair(subject=subject, person=person).owner == owner


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "not JSON"),
        ('{"prompt": []}', "prompt"),
        ("[]", "line 2"),
        (pair().model_dump_json().replace('"assistant"', '"tool"', 1), "chosen"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "novice.jsonl"
    path.write_text(f"{pair().model_dump_json()}\n{line}\n")
    pairs = read_pairs(path)
    assert next(pairs) == pair()
    with pytest.raises(DataError, match=r"novice\.jsonl, line 2: .*gpa pairs") as caught:
        next(pairs)
    assert why in str(caught.value)


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gpa pairs"):
        list(read_pairs(tmp_path / "novice.jsonl"))


def test_what_is_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "novice.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot read"):
        list(read_pairs(path))


@pytest.mark.parametrize("name", ["novice", "level_2", "a-b"])
def test_a_plain_group_names_its_folder(name: str) -> None:
    assert folder_name(name) == name


def test_a_group_cannot_take_the_folder_of_another() -> None:
    taken = folder_name("Novice")
    assert taken.startswith("novice-")
    assert folder_name(taken) != taken


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_group_leads_out_of_the_folder(one: str, other: str) -> None:
    name = folder_name(one)
    assert 0 < len(name) <= 48
    assert name == name.lower()
    assert not {*name} & {*"/\\.: \x00"}
    assert (folder_name(other) == name) == (one == other)


def test_messages_have_roles() -> None:
    with pytest.raises(ValueError, match="role"):
        Said.model_validate({"role": "tool", "content": "x"})
