"""Claims as they are kept, and weighed again without asking anybody.

What the model claimed, and which preference voices what, is kept in the ledger beside other
stage results. When a person is forgotten their attributions go with their turns, and the claims
are weighed anew over those that are left: no call is made, and an item that rested on them
goes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpa_agent.learning.cases import Sided, hear, sided
from gpa_agent.learning.embedded import contrast_config, contrasts_of, gate_config
from gpa_agent.learning.finding import Found, model_engine
from gpa_agent.learning.labelling import Labelling
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import LabelKind
from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.claim_evidence import Hearing, Wishes, weigh_claims
from gpa_agent.rubrics.claims import claims_key
from gpa_agent.rubrics.observations import index_people
from gpa_agent.settings import Settings

CLAIMS_STAGE = "claims"
VOICES_STAGE = "voices"


@dataclass(frozen=True, kw_only=True)
class KeptClaims:
    """The claims of one contrast of one intent."""

    intent: str
    group: str
    other: str
    claims: tuple[AspectItem, ...]
    problems: tuple[str | None, ...]
    support: tuple[tuple[str, ...], ...]
    """Ids of the finding part's preferences behind each claim."""
    voices: Mapping[str, NDArray[np.int8]]
    """What each testing turn says of each claim: (K,) by input id."""
    fingerprint: str
    """Of everything the claims came from: the same again is not asked again."""

    @property
    def place(self) -> str:
        """Names the contrast and the intent."""
        return json.dumps([self.intent, self.group, self.other])


def keep_claims(ledger: Ledger, source: str, kept: Sequence[KeptClaims]) -> None:
    """Keep a run's claims in the place of those of the run before.

    Args:
        ledger: Where they are kept.
        source: Who explained the preferences, and so whose claims these are.
        kept: All contrasts that have claims.
    """
    rows: list[tuple[str, bytes]] = []
    for k in kept:
        key = claims_key(k.claims, source + k.place)
        body = {
            "key": key,
            "claims": [c.model_dump(mode="json") for c in k.claims],
            "problems": list(k.problems),
            "support": list(k.support),
            "fingerprint": k.fingerprint,
        }
        rows.append((k.place, json.dumps(body).encode()))
        ledger.add_stage_results(
            VOICES_STAGE, key, [(i, values.tobytes()) for i, values in k.voices.items()]
        )
    before = [
        json.loads(body)["key"] for body in ledger.stage_values(CLAIMS_STAGE, source).values()
    ]
    ledger.replace_stage_results(CLAIMS_STAGE, source, rows)
    now = {claims_key(k.claims, source + k.place) for k in kept}
    ledger.drop_stage_results(VOICES_STAGE, keys=set(before) - now)


def kept_claims(ledger: Ledger, source: str) -> dict[tuple[str, str, str], KeptClaims]:
    """The claims of the last run, by (intent, group, other).

    Args:
        ledger: Where they are kept.
        source: Whose claims.
    """
    found: dict[tuple[str, str, str], KeptClaims] = {}
    for place, value in ledger.stage_values(CLAIMS_STAGE, source).items():
        # What another release kept otherwise is found anew.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            kept = _read(ledger, place, value)
            found[kept.intent, kept.group, kept.other] = kept
    return found


def _read(ledger: Ledger, place: str, value: bytes) -> KeptClaims:
    intent, group, other = json.loads(place)
    body: dict[str, Any] = json.loads(value)
    stored = ledger.stage_values(VOICES_STAGE, body["key"])
    return KeptClaims(
        intent=intent,
        group=group,
        other=other,
        claims=tuple(AspectItem.model_validate(c) for c in body["claims"]),
        problems=tuple(body["problems"]),
        support=tuple(tuple(ids) for ids in body["support"]),
        voices={i: np.frombuffer(v, np.int8) for i, v in stored.items()},
        fingerprint=body["fingerprint"],
    )


def still_supported(kept: KeptClaims, part: Sided, *, min_people: int) -> KeptClaims:
    """The claims that enough people of the finding part still stand behind.

    Args:
        kept: Claims of the last run.
        part: The turns that are there now.
        min_people: How many people.
    """
    person = {v.id: v.person for v in (*part.first, *part.other)}
    backing = [{person[i] for i in ids if i in person} for ids in kept.support]
    stay = [k for k, people in enumerate(backing) if len(people) >= min_people]
    return replace(
        kept,
        claims=tuple(kept.claims[k] for k in stay),
        problems=tuple(kept.problems[k] for k in stay),
        support=tuple(tuple(i for i in kept.support[k] if i in person) for k in stay),
        voices={i: values[stay] for i, values in kept.voices.items()},
        # What they came from is not there any more: the next run looks again.
        fingerprint="",
    )


def hearing_of(
    part: Sided,
    claims: Sequence[AspectItem],
    problems: Sequence[str | None],
    voices: Mapping[str, NDArray[np.int8]],
    *,
    undecided: str | None = None,
) -> Hearing:
    """A contrast with its claims, ready to be weighed.

    Args:
        part: The turns of the contrast.
        claims: K claims.
        problems: Why a claim's words may not be served; K.
        voices: (K,) by input id; a turn that is not in it was never attributed and does not count.
        undecided: Why nothing can be said this time.
    """
    counted = [i for i, t in enumerate(part.testing) if not claims or t.input_id in voices]
    turns = [part.testing[i] for i in counted]
    values = [voices[t.input_id] for t in turns] if claims else []
    return Hearing(
        intent=part.intent,
        contrast=part.contrast,
        claims=tuple(claims),
        problems=tuple(problems),
        wishes=Wishes(
            values=np.array(values, np.int8).reshape(len(turns), len(claims)),
            person=index_people([t.voiced.person for t in turns]),
            first=part.on_first[counted],
            ids=tuple(t.voiced.id for t in turns),
        ),
        undecided=undecided,
    )


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
        self.dropped: dict[tuple[str, str, str], set[str]] = {}
        """Names of the claims that fell under ``min_people``, by (intent, group, other)."""

    @property
    def name(self) -> str:
        """As reports name it."""
        return model_engine(self._model)

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Weigh again; nobody is asked."""
        stages = self._labelling.run(ledger, progress, taught=self._taught)
        heard = hear(
            ledger,
            self._source,
            one_intent=self._labelling.one_intent,
            share=settings.discovery,
        )
        contrasts = contrasts_of(settings, heard.seen.people_of)
        before = kept_claims(ledger, self._source)
        parts = {part.place: part for part in sided(heard, contrasts)}
        now = {
            place: still_supported(kept, parts[place], min_people=settings.min_people)
            for place, kept in before.items()
            if place in parts
        }
        for place, kept in before.items():
            left = {c.name for c in now[place].claims} if place in now else set[str]()
            self.dropped[place] = {c.name for c in kept.claims} - left
        keep_claims(ledger, self._source, list(now.values()))
        hearings = [
            hearing_of(part, now[place].claims, now[place].problems, now[place].voices)
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
