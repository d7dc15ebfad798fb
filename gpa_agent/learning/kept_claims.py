"""Claims as they are kept, and weighed again without asking anybody.

What the model claimed, and which preference voices what, is kept in the ledger beside other
stage results. When a person is forgotten their attributions go with their turns, and the claims
are weighed anew over those that are left: no call is made, and an item that rested on them
goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpa_agent.learning.cases import Sided, hear, sided
from gpa_agent.learning.embedded import contrast_config, contrasts_of, gate_config
from gpa_agent.learning.finding import Found
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.claim_evidence import Hearing, Wishes, weigh_claims
from gpa_agent.rubrics.claims import claims_key
from gpa_agent.rubrics.observations import index_people
from gpa_agent.rubrics.weighing import Weighed
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
    voices: Mapping[str, NDArray[np.int8]]
    """What each testing turn says of each claim: (K,) by input id."""

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
        }
        rows.append((k.place, json.dumps(body).encode()))
        ledger.add_stage_results(
            VOICES_STAGE, key, [(i, values.tobytes()) for i, values in k.voices.items()]
        )
    ledger.replace_stage_results(CLAIMS_STAGE, source, rows)
    keys = {claims_key(k.claims, source + k.place) for k in kept}
    ledger.drop_stage_results(VOICES_STAGE, keep=keys)


def hearing_of(
    part: Sided,
    claims: Sequence[AspectItem],
    problems: Sequence[str | None],
    voices: Mapping[str, NDArray[np.int8]],
) -> Hearing:
    """A contrast with its claims, ready to be weighed.

    Args:
        part: The turns of the contrast.
        claims: K claims.
        problems: Why a claim's words may not be served; K.
        voices: (K,) by input id. A turn that voiced something and is not in it was never
            attributed and does not count; one that voiced nothing counts as silent.
    """
    counted = [i for i, t in enumerate(part.testing) if t.voiced is None or t.input_id in voices]
    turns = [part.testing[i] for i in counted]
    silent = np.zeros(len(claims), np.int8)
    values = [voices.get(t.input_id, silent) for t in turns]
    return Hearing(
        intent=part.intent,
        contrast=part.contrast,
        claims=tuple(claims),
        problems=tuple(problems),
        wishes=Wishes(
            values=np.array(values, np.int8).reshape(len(turns), len(claims)),
            person=index_people([t.person for t in turns]),
            first=part.on_first[counted],
            ids=tuple(t.voiced.id if t.voiced else t.input_id for t in turns),
        ),
    )


class Recalled:
    """Weighs the claims of the last run again, over the turns that are there now.

    Args:
        source: Whose claims.
        one_intent: Whether turns that name no intent belong to the one intent ``general``.
    """

    def __init__(self, source: str, *, one_intent: bool) -> None:
        self._source = source
        self._one_intent = one_intent

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"model {self._source.rpartition('/')[0]}"

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Weigh again; no stage runs and nothing is asked."""
        heard = hear(ledger, self._source, one_intent=self._one_intent, share=settings.discovery)
        contrasts = contrasts_of(settings, heard.seen.people_of)
        kept = ledger.stage_values(CLAIMS_STAGE, self._source)
        hearings: list[Hearing] = []
        for part in sided(heard, contrasts):
            body: dict[str, Any] = json.loads(
                kept.get(json.dumps([part.intent, *part.contrast]), b"{}")
            )
            claims = [AspectItem.model_validate(c) for c in body.get("claims", ())]
            stored = ledger.stage_values(VOICES_STAGE, body["key"]) if claims else {}
            voices = {i: np.frombuffer(v, np.int8) for i, v in stored.items()}
            hearings.append(hearing_of(part, claims, body.get("problems", ()), voices))
        weighed = weigh_claims(
            hearings,
            contrasts,
            contrast_config=contrast_config(settings),
            gate_config=gate_config(settings),
        )
        progress("contrast", len(hearings), len(hearings))
        return Found(weighed, heard.seen, {})

    def shuffled(
        self, ledger: Ledger, settings: Settings, times: int, progress: Progress
    ) -> list[Weighed]:
        """Not to be had without asking: claims have to be found anew on shuffled groups."""
        raise NotImplementedError
