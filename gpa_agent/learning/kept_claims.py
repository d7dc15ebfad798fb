"""Claims as they are kept, and weighed again without asking anybody.

What the model claimed, which preference voices what, and which preferences a fold has seen is kept
in the ledger beside other stage results: what was asked once is not asked again. When a person is
forgotten their attributions go with their turns, and the claims are weighed anew over those that
are left: no call is made, and an item that rested on them goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.learning.cases import Sided, Turn, hear, sided
from gpa_agent.learning.embedded import contrast_config, contrasts_of, gate_config
from gpa_agent.learning.finding import Found, model_engine
from gpa_agent.learning.labelling import Labelling
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import LabelKind
from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.attributing import UNASKED
from gpa_agent.rubrics.claim_evidence import Hearing, Wishes, weigh_claims
from gpa_agent.rubrics.claims import claims_key
from gpa_agent.rubrics.fold import Voiced
from gpa_agent.rubrics.observations import index_people
from gpa_agent.rubrics.revising import Claim
from gpa_agent.settings import Settings

CLAIMS_STAGE = "claims"
VOICES_STAGE = "voices"

_PRINT_BYTES = 8

Place = tuple[str, str, str]
"""(intent, group, other)."""


def print_of(voiced: Voiced) -> str:
    """Names a preference and what it says: a turn that is read anew says something else.

    Args:
        voiced: The preference.

    Returns:
        16 hexadecimal digits.
    """
    said = [voiced.id, voiced.pleased, voiced.expectation, voiced.reason]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[: 2 * _PRINT_BYTES]


class Voices(NamedTuple):
    """What a testing turn says of each claim.

    Attributes:
        said: `print_of` the preference that was shown.
        values: (K,) in {-1, 0, 1}, or `UNASKED`.
    """

    said: str
    values: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class KeptClaims:
    """The claims of one contrast of one intent."""

    intent: str
    group: str
    other: str
    found: tuple[Claim, ...]
    """K claims."""
    voices: Mapping[str, Voices]
    """What each testing turn says of each claim, by input id."""
    seen: frozenset[str] = field(default_factory=frozenset[str])
    """Prints of the finding part's preferences that a fold has seen."""
    waiting: frozenset[str] = field(default_factory=frozenset[str])
    """Those of them that the next fold is shown once more."""
    asked_with: str
    """Prompts and settings that the questions went by: with others, all is asked anew."""

    @property
    def place(self) -> str:
        """Names the contrast and the intent."""
        return json.dumps([self.intent, self.group, self.other])

    @property
    def claims(self) -> tuple[AspectItem, ...]:
        """What is claimed; K of them."""
        return tuple(c.item for c in self.found)

    @property
    def problems(self) -> tuple[str | None, ...]:
        """Why the words of a claim may not be served; K of them."""
        return tuple(c.problem for c in self.found)

    @property
    def support(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the finding part's preferences behind each claim; K of them."""
        return tuple(c.support for c in self.found)

    def attributions(self, part: Sided) -> dict[str, NDArray[np.int8]]:
        """What is known of the testing turns that are there now: (K,) by input id.

        Args:
            part: The turns.
        """
        known = ((t.input_id, self.voices.get(t.input_id), t.voiced) for t in part.testing)
        return {i: v.values for i, v, said in known if v is not None and v.said == print_of(said)}


def keep_claims(ledger: Ledger, source: str, kept: Iterable[KeptClaims]) -> None:
    """Keep a run's claims in the place of those of the run before.

    Attributions come first and the claims they belong to last, in one transaction: a run that is
    stopped in between leaves the claims of before, and rows that it writes again the next time.

    Args:
        ledger: Where they are kept.
        source: Who explained the preferences, and so whose claims these are.
        kept: All contrasts that have claims.
    """
    rows: list[tuple[str, bytes]] = []
    keys: set[str] = set()
    for k in kept:
        key = claims_key(k.claims, source + k.place)
        keys.add(key)
        rows.append((k.place, json.dumps({"key": key, **_body(k)}).encode()))
        there = ledger.stage_values(VOICES_STAGE, key)
        voiced = {i: bytes.fromhex(v.said) + v.values.tobytes() for i, v in k.voices.items()}
        changed = [(i, value) for i, value in voiced.items() if there.get(i) != value]
        ledger.add_stage_results(VOICES_STAGE, key, changed)
    before = {
        json.loads(body)["key"] for body in ledger.stage_values(CLAIMS_STAGE, source).values()
    }
    ledger.replace_stage_results(CLAIMS_STAGE, source, rows)
    ledger.drop_stage_results(VOICES_STAGE, keys=before - keys)


def kept_claims(ledger: Ledger, source: str) -> dict[Place, KeptClaims]:
    """The claims of the last run, by (intent, group, other).

    Args:
        ledger: Where they are kept.
        source: Whose claims.
    """
    found: dict[Place, KeptClaims] = {}
    for place, value in ledger.stage_values(CLAIMS_STAGE, source).items():
        # What another release kept otherwise is found anew.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            kept = _read(ledger, place, value)
            found[kept.intent, kept.group, kept.other] = kept
    return found


def _body(kept: KeptClaims) -> dict[str, Any]:
    return {
        "found": [
            {**vars(claim), "item": claim.item.model_dump(mode="json")} for claim in kept.found
        ],
        "seen": sorted(kept.seen),
        "waiting": sorted(kept.waiting),
        "asked_with": kept.asked_with,
    }


def _read(ledger: Ledger, place: str, value: bytes) -> KeptClaims:
    intent, group, other = json.loads(place)
    body: dict[str, Any] = json.loads(value)
    stored = ledger.stage_values(VOICES_STAGE, body["key"])
    return KeptClaims(
        intent=intent,
        group=group,
        other=other,
        found=tuple(_claim(claim) for claim in body["found"]),
        voices={
            i: Voices(v[:_PRINT_BYTES].hex(), np.frombuffer(v[_PRINT_BYTES:], np.int8))
            for i, v in stored.items()
        },
        seen=frozenset(body["seen"]),
        waiting=frozenset(body["waiting"]),
        asked_with=body["asked_with"],
    )


def _claim(body: dict[str, Any]) -> Claim:
    return Claim(
        item=AspectItem.model_validate(body["item"]),
        support=tuple(body["support"]),
        problem=body["problem"],
        named=body["named"],
        verdict=body["verdict"],
    )


def still_supported(
    kept: KeptClaims, part: Sided, person: Mapping[str, str], *, min_people: int
) -> KeptClaims:
    """The claims that enough people of the finding part still stand behind.

    Args:
        kept: Claims of the last run.
        part: The turns that are there now.
        person: Who voiced the preferences behind the claims, of those that are there now.
        min_people: How many people.
    """
    there = frozenset(print_of(v) for v in (*part.first, *part.other))
    backing = [{person[i] for i in ids if i in person} for ids in kept.support]
    stay = [k for k, people in enumerate(backing) if len(people) >= min_people]
    return replace(
        kept,
        found=tuple(
            replace(kept.found[k], support=tuple(i for i in kept.support[k] if i in person))
            for k in stay
        ),
        voices={i: v._replace(values=v.values[stay]) for i, v in kept.voices.items()},
        seen=kept.seen & there,
        waiting=kept.waiting & there,
    )


def hearing_of(
    part: Sided,
    claims: Sequence[AspectItem],
    problems: Sequence[str | None],
    voices: Mapping[str, NDArray[np.int8]],
    *,
    undecided: str | None = None,
    turned: Mapping[str, datetime] | None = None,
) -> Hearing:
    """A contrast with its claims, ready to be weighed.

    Args:
        part: The turns of the contrast.
        claims: K claims.
        problems: Why a claim's words may not be served; K.
        voices: (K,) by input id; a turn that is not in it was never attributed and does not count.
        undecided: Why nothing can be said this time.
        turned: When serving a claim was found to do harm, by its name: what was said before then
            speaks for a taste that is gone.
    """
    counted = [i for i, t in enumerate(part.testing) if not claims or t.input_id in voices]
    turns = [part.testing[i] for i in counted]
    said = [voices[t.input_id] for t in turns] if claims else []
    values = np.array(said, np.int8).reshape(len(turns), len(claims))
    silent = [[_silent(turn, c.name, (turned or {}).get(c.name)) for c in claims] for turn in turns]
    return Hearing(
        intent=part.intent,
        contrast=part.contrast,
        claims=tuple(claims),
        problems=tuple(problems),
        wishes=Wishes(
            values=np.where(values == UNASKED, 0, values).astype(np.int8),
            person=index_people([t.voiced.person for t in turns]),
            first=part.on_first[counted],
            ids=tuple(t.voiced.id for t in turns),
            weight=np.array([t.weight for t in turns]),
            masked=(values == UNASKED) | np.array(silent, bool).reshape(values.shape),
        ),
        undecided=undecided,
    )


def _silent(turn: Turn, name: str, turned: datetime | None) -> bool:
    """Whether a turn says nothing of a claim: it was served under it, or before its turn.

    A turn without a time is one of a log, and older than anything that was served.
    """
    early = turned is not None and (turn.at is None or turn.at < turned)
    return early or turn.silent_of(name)


class Recalled:
    """Weighs the claims of the last run again, over the turns that are there now.

    A claim whose finding part has fallen under ``min_people`` people is dropped, words and all.

    Args:
        model: Whose claims.
        labelling: Trains and applies the local classifiers over what is left.
        taught: Versions under which the model's labels stand.
    """

    def __init__(
        self, model: str, *, labelling: Labelling, taught: Mapping[LabelKind, str]
    ) -> None:
        self._model = model
        self._source = preference_source(model)
        self._labelling = labelling
        self._taught = taught
        self.dropped: dict[Place, set[str]] = {}
        """Names of the claims that fell under ``min_people``, by (intent, group, other)."""

    @property
    def name(self) -> str:
        """As reports name it."""
        return model_engine(self._model)

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Weigh again; nobody is asked."""
        stages = self._labelling.run(ledger, progress, taught=self._taught)
        before = kept_claims(ledger, self._source)
        heard = hear(
            ledger,
            self._source,
            one_intent=self._labelling.one_intent,
            share=settings.discovery,
            half_life_days=settings.half_life_days,
            asked_about={i for k in before.values() for ids in k.support for i in ids},
        )
        contrasts = contrasts_of(settings, heard.seen.people_of)
        parts = {part.place: part for part in sided(heard, contrasts)}
        now = {
            place: still_supported(
                kept, parts[place], heard.persons, min_people=settings.min_people
            )
            for place, kept in before.items()
            if place in parts
        }
        for place, kept in before.items():
            left = {c.name for c in now[place].claims} if place in now else set[str]()
            self.dropped[place] = {c.name for c in kept.claims} - left
        keep_claims(ledger, self._source, now.values())
        turned = ledger.turned()
        hearings = [
            hearing_of(
                part,
                now[place].claims,
                now[place].problems,
                now[place].attributions(part),
                turned=turned.get(place),
            )
            if place in now
            else hearing_of(part, (), (), {})
            for place, part in parts.items()
        ]
        weighed = weigh_claims(
            hearings,
            contrasts,
            contrast_config=contrast_config(settings),
            gate_config=gate_config(settings),
        )
        progress("contrast", len(hearings), len(hearings))
        return Found(weighed, heard.seen, stages)
