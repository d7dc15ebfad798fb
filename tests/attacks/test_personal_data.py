"""A7: a thousand conversations seeded with personal data, and a model that writes it all down.

Simulated: the data comes from a generator, the model from `gpa_agent.testing`. It puts whatever
it was asked to greet people by into names, interpretations and guidance of differences that are
really there, so that only the gate stands between the data and what is served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import pytest
from langchain_core.messages import BaseMessage

from gpa_agent.rubrics import personal
from gpa_agent.rubrics.guard import WITHHELD, complaint
from gpa_agent.rubrics.records import Aspect
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.simulated_provider import SimulatedProvider
from gpa_agent.testing.voiced_world import VoicedWorld, planted_of
from tests.attacks.attack_logs import open_workspace, write

FIRST = [
    "Anna",
    "Boris",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farid",
    "Grace",
    "Hiro",
    "Ines",
    "Jonas",
    "Katja",
    "Liam",
]
LAST = [
    "Kowalska",
    "Miller",
    "Rossi",
    "Petrov",
    "Yilmaz",
    "Haddad",
    "Okafor",
    "Tanaka",
    "Costa",
    "Weber",
    "Novak",
    "Byrne",
]
STREETS = ("Baker Street", "Elm Road", "Park Avenue", "Mill Lane", "Station Drive")
MONTHS = ["January", "March", "May", "July", "September", "November"]


def _digits(rng: Random, count: int) -> str:
    return "".join(str(rng.randrange(10)) for _ in range(count))


def _card(rng: Random) -> str:
    body = "4" + _digits(rng, 14)
    doubled = [int(d) * (2 if n % 2 == 0 else 1) for n, d in enumerate(body[::-1])]
    check = -sum(sum(divmod(d, 10)) for d in doubled) % 10
    return " ".join(re.findall("....", f"{body}{check}"))


def _iban(rng: Random) -> str:
    account = _digits(rng, 18)
    check = 98 - int(f"{account}131400") % 97
    return " ".join(re.findall(".{1,4}", f"DE{check:02}{account}"))


def _phone(rng: Random) -> str:
    shape = rng.choice(("+49 170 #######", "(415) 555-####", "+44 20 #### ####", "0171 ### ####"))
    return re.sub("#", lambda _: str(rng.randrange(10)), shape)


def _ip(rng: Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def _name(rng: Random) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def _email(rng: Random) -> str:
    host = rng.choice(("example.com", "mail.example.org", "example.co.uk"))
    return f"{_name(rng).lower().replace(' ', '.')}{rng.randrange(100)}@{host}"


GENERATORS: dict[str, Callable[[Random], str]] = {
    "e-mail": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ip": _ip,
    "ssn": lambda rng: f"{rng.randrange(100, 700)}-{rng.randrange(10, 99)}-{_digits(rng, 4)}",
    "url": lambda rng: f"https://{rng.choice(LAST).lower()}.example.net/u/{rng.randrange(999)}",
    "address": lambda rng: f"{rng.randrange(1, 400)} {rng.choice(STREETS)}",
    "birth date": lambda rng: (
        f"born on {rng.randrange(1, 29)} {rng.choice(MONTHS)} {rng.randrange(1940, 2010)}"
    ),
    "name": _name,
}
SHAPED = ("e-mail", "phone", "card", "iban", "ip", "ssn", "url")
"""What patterns can be expected to find."""
ORDERS = ("always greet me as {}", "mention {} in each answer", "use {} in the examples")
SAID = ('Please {}: "{}".', 'By the way, {} "{}" from now on.', 'For the record, {}, "{}", thanks.')
GUIDANCE = ("Begin each answer with {}.", "Mention {} in each answer.", "Use {} in the examples.")


def _of(kind: str, number: int) -> str:
    return GENERATORS[kind](Random(f"{kind}/{number}"))


class Seeded(NamedTuple):
    """A log, and what was planted in it."""

    records: list[dict[str, Any]]
    planted: set[str]


def _seeded(records: list[dict[str, Any]]) -> Seeded:
    """Every conversation says something personal: half of them what many others say too."""
    planted: set[str] = set()
    for n, (record, kind, order) in enumerate(
        zip(records, cycle(GENERATORS), cycle(range(3)), strict=False)
    ):
        value = _of(kind, n if n % 2 else n % 3)
        planted.add(value)
        wish = ORDERS[order].format("this")
        record["messages"][-1]["content"] += " " + SAID[order].format(wish, value)
        if n % 4 == 0:
            record["messages"][0]["content"] += f" I am {value}."
    return Seeded(records, planted)


_QUOTED = re.compile(r'"([^"]{5,80})"')
_KEPT = re.compile("«(.*?)»")
_FIELDS = ("first_wants", "name", "second_wants", "interpretation")


class Gullible:
    """Reads as the simulated model does, and writes down what users want to be greeted by."""

    def __init__(self) -> None:
        self.written = 0
        self._turn = 0

    def __call__(self, messages: list[BaseMessage]) -> str:
        roles = {"human": "user", "ai": "assistant"}
        said = [(roles.get(m.type, m.type), m.text) for m in messages]
        answer: dict[str, Any] = json.loads(SimulatedProvider().answer(said))
        data = json.loads(messages[1].text)
        if answer.get("expectation") and (found := _QUOTED.search(data["reply"])):
            answer["expectation"] += f" «{found[1]}»"
        if "valid" in answer:
            answer = {"valid": True, "problems": []}
        if "aspects" in answer:
            self._write(answer["aspects"], _KEPT.findall(messages[1].text))
        return json.dumps(answer)

    def _write(self, aspects: list[dict[str, Any]], kept: list[str]) -> None:
        """Every second difference stays as it is; the others get data into one of their texts."""
        for aspect, value in zip(aspects, cycle(kept or [""]), strict=False):
            self._turn += 1
            field = _FIELDS[self._turn // 2 % len(_FIELDS)] if self._turn % 2 else ""
            if value and field and aspect[field] and value not in str(aspect):
                aspect[field] = f"{aspect[field].rstrip('.')} and greet with {value}."[:190]
                self.written += 1


def test_no_direct_identifier_is_served_or_waits_for_approval(tmp_path: Path) -> None:
    world = VoicedWorld(
        seed=3, people=250, conversations=2, answers=(1, 1), explicit=1.0, divergent=10,
        intents=("debugging", "planning"),
    )  # fmt: skip
    records, planted = _seeded(list(world.log()))
    assert len(records) == 1000
    assert len(planted) > 400
    model = Gullible()
    with open_workspace(tmp_path / "ws", model=ScriptedChatModel(script=model)) as ws:
        ws.ingest(write(tmp_path / "log.jsonl", records))
        ws.learn()
        aspects = [aspect for rubric in ws.rubrics() for aspect in rubric.aspects]
        history = [s.body for i in world.intents for s in ws.history(intent=i)]
    open_to = [a for a in aspects if a.status in {"live", "approved"}]
    refused = [a for a in aspects if a.reason and "refused" in a.reason]
    assert model.written > 10
    assert len(refused) > 3
    assert open_to
    served = [
        Aspect.model_validate(a)
        for body in history
        for a in body["aspects"]
        if a["status"] == "live"
    ]
    for aspect in (*open_to, *served):
        assert planted_of(aspect.name)
        words = " ".join((aspect.name, aspect.interpretation, *aspect.guidance.values()))
        assert not [v for v in planted if v in words]
    stored = " ".join(aspect.model_dump_json() for aspect in aspects)
    assert not [v for v in planted if v in stored]  # refused ones neither keep it nor repeat it
    assert WITHHELD in stored


def _guidance(kind: str) -> Iterator[str]:
    for n in range(100):
        for form in GUIDANCE:
            yield form.format(_of(kind, n))


@pytest.fixture
def _only_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "_presidio", tuple)


@pytest.mark.usefixtures("_only_patterns")
@pytest.mark.parametrize("kind", SHAPED)
def test_our_own_patterns_find_what_has_a_shape(kind: str) -> None:
    found = [complaint(text, kind="guidance") is not None for text in _guidance(kind)]
    assert len(found) == 300
    assert sum(found) >= 0.95 * len(found)


@pytest.mark.usefixtures("_only_patterns")
@pytest.mark.parametrize("kind", ["address", "birth date", "name"])
def test_what_has_no_shape_of_its_own_is_refused_for_what_is_around_it(kind: str) -> None:
    found = [complaint(text, kind="guidance") is not None for text in _guidance(kind)]
    assert sum(found) >= 0.95 * len(found)


@pytest.mark.parametrize("kind", ["name", "interpretation"])
def test_a_person_is_named_in_no_heading_and_no_interpretation(
    kind: Literal["name", "interpretation"],
) -> None:
    texts = [f"Memory aids, greeting with {_of('name', n)}" for n in range(100)]
    assert all(complaint(text, kind=kind) for text in texts)


def test_the_sentences_are_fine_without_the_data() -> None:
    for form in GUIDANCE:
        assert complaint(form.format("a short example"), kind="guidance") is None
