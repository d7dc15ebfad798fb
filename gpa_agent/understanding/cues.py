"""Named cues: what in a user's next turn speaks for or against the answer before it.

Each cue has a name, a polarity, a definition and a reader that looks at the wording in its
context (:mod:`~gpa_agent.understanding.reading`): negation reaches three words back, a question
or a request does not praise, "no" depends on what was asked, politeness after a failure is not
gratitude. The list follows the items that SPUR learned from Copilot logs (arXiv 2403.12388:
gratitude, positive feedback, follow-up, suggestion acceptance, learning; repetition, errors,
negative feedback, complexity, sudden end) and WildFeedback's nine and nine (arXiv 2408.15549),
restated for wording that can be read without a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpa_agent.conversations.records import Judgment
from gpa_agent.understanding.reading import FACE, Reading
from gpa_agent.understanding.wording import (
    ACCEPTS,
    BLOCK_NO,
    BUILDS,
    COMPLAIN_BLOCK,
    COMPLAINS,
    CONFUSED,
    CORRECTS,
    DELIGHT,
    DISLIKES,
    ENDS,
    FAREWELL,
    FONDNESS,
    FRUSTRATED,
    GIVES_UP,
    GREETS,
    HOLLOW,
    IDLE_NO,
    KNOWN,
    LEARNS,
    MILD,
    NO,
    OPENERS,
    OTHERS,
    OTHERS_BLOCK,
    PRAISE,
    REDO,
    REQUESTS,
    SARCASM,
    SOLVED,
    STOPS,
    STRONG,
    THANKS,
    UNKNOWN,
    UPTAKE,
    WISHES,
    YES,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER

_NEGATION = re.compile(
    r"(?:\b(?:not|never|no|hardly|barely|nothing|neither|nor|without|"
    r"isnt|wasnt|dont|doesnt|didnt|cant)|n't)"
    r"(?:\W+\w+){0,3}\W*$"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """One sign of how an answer was received."""

    name: str
    """What it is called in evidence and weights."""
    polarity: Judgment
    """What it speaks for; NEITHER for circumstances that only change how the others read."""
    definition: str
    """What counts, in a sentence."""
    read: Callable[[Reading], float]
    """How strongly it is there, in [0, 1]."""


def _says(
    pattern: str,
    *,
    unless: str | None = None,
    asked: bool = True,
    negatable: bool = False,
    starts: bool = False,
) -> Callable[[Reading], float]:
    """A reader of wording, sentence by sentence.

    Args:
        pattern: What counts, in case-folded text.
        unless: What in the same sentence makes it not count.
        asked: Whether it counts inside a question.
        negatable: Whether a negation up to three words before takes it away.
        starts: Whether it must open the sentence (after "oh", "well" and the like).
    """
    wanted = re.compile(OPENERS + rf"(?:{pattern})" if starts else pattern)
    blocked = re.compile(unless) if unless else None

    def read(reading: Reading) -> float:
        for sentence in reading.sentences:
            if not asked and sentence.endswith("?"):
                continue
            if blocked and blocked.search(sentence):
                continue
            for match in wanted.finditer(sentence):
                if not (negatable and _NEGATION.search(sentence[: match.start()])):
                    return 1.0
        return 0.0

    return read


_thanks = _says(THANKS, unless=HOLLOW)
_polite_no = _says(
    r"\bno,? (?:but )?(?:thanks?|thank you)|\bthanks? (?:you )?(?:anyway|"
    r"anyways)|\bthanks?,? but|\bno need\b"
)
_sarcasm = _says(SARCASM)


def _praises(adjectives: str) -> Callable[[Reading], float]:
    plain = _says(
        PRAISE.replace("%s", adjectives),
        unless=f"{WISHES}|{SARCASM}",
        asked=False,
        negatable=True,
    )
    but = re.compile(r"[,;]?\s(?:but|however|except|although|though)\b")

    def read(reading: Reading) -> float:
        if not plain(reading):
            return 0.0
        return 0.4 if but.search(reading.text) else 1.0

    return read


_affirms = _says(
    YES,
    starts=True,
    asked=False,
    unless=r"\byeah,? right\b|\bi have (?:a|an|another|one|no|not)\b|\bnot\b|n't\b|\bbut\b",
)
_says_no = _says(NO, starts=True, unless=IDLE_NO)
_ends = _says(ENDS, asked=False)
_farewell = _says(FAREWELL)


def _closes_content(reading: Reading) -> float:
    """Done, with thanks or a good-bye, and nothing failed just before."""
    done = max(_ends(reading), _farewell(reading))
    hollow = reading.answer.failed or reading.answer.refused
    return 1.0 if done and not hollow and (_thanks(reading) or _farewell(reading)) else 0.0


def _reserves(reading: Reading) -> float:
    return float(bool(_RESERVES.search(reading.text)))


def _declines(reading: Reading) -> float:
    """A bare no to a proposal, or a "don't": not a no that only ends the talk."""
    if _ends(reading) and reading.answer.asks_more:
        return 0.0
    if not _says_no(reading):
        return 0.0
    return 0.3 if reading.answer.asks_more or _polite_no(reading) else 1.0


def _thanks_after_failure(reading: Reading) -> float:
    failed = reading.answer.failed or reading.answer.refused or reading.answer.empty
    return 1.0 if failed and (_thanks(reading) or _ends(reading) or _polite_no(reading)) else 0.0


def _gratitude(reading: Reading) -> float:
    if not _thanks(reading) or _sarcasm(reading):
        return 0.0
    return 0.4 if reading.answer.failed or reading.answer.refused else 1.0


_RESERVES = re.compile(
    rf"(?:\b(?:{STRONG}|{MILD}|okay|ok|like|liked|close|almost|appreciate|helps)\b|{THANKS})"
    r"[^.!?]{0,60}?[,;.]? ?\b(?:but|however|except|although|though|yet|"
    r"unfortunately)\b(?! (?:also|thanks?|thank|i (?:love|like|will|"
    r"think i)))"
)
_delight_words = _says(DELIGHT, unless=f"{SARCASM}|\\b(?:not|don't|never|ugh|wrong|error)\\b")
_happy_face = re.compile(
    r"[:;=][-']?[)dp](?!\w)|<3|[\U0001F600-\U0001F60D\U0001F44D\U0001F44F\U0001F389\U000"
    r"1F64F\u2764\u263A]"
)


def _delight(reading: Reading) -> float:
    face = bool(FACE.search(reading.text) and _happy_face.search(reading.text))
    return 1.0 if face or _delight_words(reading) else 0.0


def _exclaims(reading: Reading) -> float:
    return 1.0 if "!" in reading.text and "?" not in reading.text else 0.0


_repeat_block = re.compile(rf"{YES}|{ACCEPTS}|{THANKS}")


def _repetition(reading: Reading) -> float:
    """Own words said again (two thirds of them or more), and not while agreeing."""
    if len(reading.words) < 4 or _repeat_block.search(reading.text):
        return 0.0
    return float(np.clip((reading.repeated - 0.4) / 0.4, 0.0, 1.0))


def _fact(name: str) -> Callable[[Reading], float]:
    def read(reading: Reading) -> float:
        return float(getattr(reading.answer, name))

    return read


def _failed(reading: Reading) -> float:
    return float(reading.answer.failed or reading.answer.refused or reading.answer.empty)


def _yes_to_offer(reading: Reading) -> float:
    return _affirms(reading) * float(reading.answer.offers or reading.answer.confirms)


def _no_to_confirm(reading: Reading) -> float:
    return _declines(reading) * float(reading.answer.confirms or reading.answer.offers)


def _bare_information(reading: Reading) -> float:
    """A few words that answer the assistant's question and judge nothing."""
    spoken = any(reader(reading) for reader in (_affirms, _says_no, _thanks, _delight_words))
    return float(reading.answer.asks and len(reading.words) <= 8 and not spoken)


def _length(reading: Reading) -> float:
    """Number of words, 40 or more is 1."""
    return min(len(reading.words), 40) / 40


def _c(name: str, polarity: Judgment, definition: str, read: Callable[[Reading], float]) -> Cue:
    return Cue(name=name, polarity=polarity, definition=definition, read=read)


CUES: tuple[Cue, ...] = (
    _c("thanks", SAT, "Thanks for the answer, neither hollow nor after a failure.", _gratitude),
    _c("praise", SAT, "Calls the answer great, perfect, helpful.", _praises(STRONG)),
    _c("approval", SAT, "Calls the answer good, nice, fine.", _praises(MILD)),
    _c("affirmation", SAT, "Says yes, right, correct.", _affirms),
    _c("yes_to_offer", SAT, "Says yes to a proposal or a request to confirm.", _yes_to_offer),
    _c(
        "acceptance",
        SAT,
        "Takes what was offered.",
        _says(ACCEPTS, unless=BLOCK_NO, asked=False, negatable=True),
    ),
    _c(
        "uptake",
        SAT,
        "Announces to try or look at what was suggested.",
        _says(UPTAKE, asked=False, negatable=True),
    ),
    _c(
        "fondness",
        SAT,
        "Shares a liking for what was named.",
        _says(FONDNESS, asked=False, negatable=True),
    ),
    _c(
        "learning",
        SAT,
        "Says that they understood or learned something.",
        _says(LEARNS, asked=False, negatable=True),
    ),
    _c(
        "solved",
        SAT,
        "Says that it works or is fixed.",
        _says(
            SOLVED,
            asked=False,
            negatable=True,
            unless=rf"{SARCASM}|\b(?:but|almost|partly|only|worked (?:before|yesterday|fine))\b",
        ),
    ),
    _c("delight", SAT, "Laughs, is amazed, sends a happy face.", _delight),
    _c("exclaims", SAT, "Ends in an exclamation mark.", _exclaims),
    _c("builds_on", SAT, "Follows up on what was answered.", _says(BUILDS)),
    _c(
        "closes_content",
        SAT,
        "Ends with thanks or a good-bye after nothing failed.",
        _closes_content,
    ),
    _c("farewell", SAT, "Says good-bye or wishes well.", _farewell),
    _c("ends", NEITHER, "Says that nothing more is needed.", _ends),
    _c("declines", DSAT, "Says no to what was offered or asked.", _declines),
    _c("no_to_offer", DSAT, "Says no to a proposal or a request to confirm.", _no_to_confirm),
    _c("stops", DSAT, "Tells the assistant not to do it.", _says(STOPS)),
    _c("polite_no", DSAT, "Declines with thanks, thanks anyway.", _polite_no),
    _c(
        "thanks_after_failure",
        DSAT,
        "Politeness after nothing was found or done.",
        _thanks_after_failure,
    ),
    _c("correction", DSAT, "Corrects the answer or says what was meant.", _says(CORRECTS)),
    _c(
        "complaint",
        DSAT,
        "Says that the answer is bad, wrong or does not work.",
        _says(COMPLAINS, unless=COMPLAIN_BLOCK),
    ),
    _c(
        "dislike",
        DSAT,
        "Does not like or want what was suggested.",
        _says(
            DISLIKES,
            unless=r"\bdo(?:n't| not) (?:need|want) any(?:thing)? (?:else|more)|\bdon't you\b|\?$",
        ),
    ),
    _c(
        "alternative",
        DSAT,
        "Asks for another one or something else.",
        _says(OTHERS, unless=OTHERS_BLOCK),
    ),
    _c("redo", DSAT, "Asks to do it again, shorter, simpler, differently.", _says(REDO)),
    _c("confusion", DSAT, "Does not understand.", _says(CONFUSED)),
    _c("known_already", DSAT, "Knows, has or has said it already.", _says(KNOWN)),
    _c("unfamiliar", DSAT, "Does not know it, or is unsure.", _says(UNKNOWN)),
    _c("repetition", DSAT, "Says again what they had said before.", _repetition),
    _c("gives_up", DSAT, "Gives up or shows disappointment.", _says(GIVES_UP)),
    _c("frustration", DSAT, "Swears, sighs, reproaches.", _says(FRUSTRATED)),
    _c("sarcasm", DSAT, "Praise or thanks that mean the opposite.", _sarcasm),
    _c("reservation", DSAT, "Praise or thanks that a but takes back.", _reserves),
    _c("asks", NEITHER, "Ends with a question.", lambda r: float(r.question)),
    _c("requests", NEITHER, "Opens with a request or a question.", _says(REQUESTS)),
    _c("greets", NEITHER, "Opens with a greeting.", _says(GREETS)),
    _c(
        "information",
        NEITHER,
        "A few words that answer the assistant's question.",
        _bare_information,
    ),
    _c("opening", NEITHER, "Nothing had been asked before.", lambda r: float(r.opening)),
    _c("takes_up", NEITHER, "Uses words of the answer.", lambda r: r.taken_up),
    _c("silent", NEITHER, "No cue that judges is there.", lambda _: 0.0),
    _c("length", NEITHER, "Number of words, 40 or more is 1.", _length),
    _c("answer_failed", NEITHER, "The answer found or did nothing, or refused.", _failed),
    _c("answer_sorry", NEITHER, "The answer apologises.", _fact("sorry")),
    _c("answer_asks", NEITHER, "The answer ends with a question.", _fact("asks")),
    _c(
        "answer_asks_more",
        NEITHER,
        "The answer asks whether there is anything else.",
        _fact("asks_more"),
    ),
    _c("answer_offers", NEITHER, "The answer proposes something.", _fact("offers")),
    _c("answer_confirms", NEITHER, "The answer asks for a confirmation.", _fact("confirms")),
    _c("answer_done", NEITHER, "The answer reports something done.", _fact("done")),
)
"""Every cue, in the order of :func:`score`'s columns."""

PRESENT = 0.5
"""From here on a cue counts as there."""

_JUDGING = np.array([cue.polarity is not NEITHER for cue in CUES])
_SILENT = next(column for column, cue in enumerate(CUES) if cue.name == "silent")

CUE_NAMES: tuple[str, ...] = tuple(cue.name for cue in CUES)


def score(readings: list[Reading]) -> NDArray[np.float64]:
    """How strongly each cue is there: (readings, cues), each in [0, 1]."""
    table = np.zeros((len(readings), len(CUES)))
    for row, reading in enumerate(readings):
        if reading.readable:
            table[row] = [cue.read(reading) for cue in CUES]
    table[:, _SILENT] = (table[:, _JUDGING] < PRESENT).all(axis=1)
    return table


def named(reading: Reading, *, polarity: Judgment | None = None) -> tuple[str, ...]:
    """Names of the cues that are there, those that judge (SAT, DSAT) only."""
    if not reading.readable:
        return ()
    wanted = (SAT, DSAT) if polarity is None else (polarity,)
    return tuple(
        cue.name for cue in CUES if cue.polarity in wanted and cue.read(reading) >= PRESENT
    )
