"""A user's next turn, prepared for reading cues: what they said, and what they said it to.

A stance ("thanks", "that's wrong") is only a stance in its context. So the reply is cleaned
of what is not the user's own voice (quotations, code, pasted text), cut into sentences, and
put beside the facts about the answer that change what the same words mean: "no" to "anything
else?" ends a good talk, "no" to "shall I book it?" turns an offer down, "thank you" after
"I could not find any" is politeness. Everything here is a pure function of one
:class:`~gpa_agent.understanding.protocols.JudgedTurn`, blind to case and spacing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gpa_agent.understanding.protocols import JudgedTurn

HEAD_WORDS = 60
"""A stance stands at the start of a reply ..."""
TAIL_WORDS = 30
"""... or at its end; what lies between in a long one is pasted material."""

_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "`": "'"})
_CODE = re.compile(r"```.*?(?:```|\Z)|(?m:^\s*>.*$)", re.DOTALL)
_QUOTED = re.compile(r""""[^"\n]{1,300}"|(?<!\w)'[^'\n]{2,80}'(?!\w)""")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\u2026]*|[.!?]+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SPACE = re.compile(r"\s+")
_LETTER = re.compile(r"[^\W\d_]")

# fmt: off
STOPWORDS = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "here", "how", "i", "i'm", "if",
    "in", "is", "it", "it's", "its", "just", "me", "my", "no", "not", "of", "ok", "on", "or",
    "please", "so", "some", "that", "the", "there", "these", "this", "those", "to", "was",
    "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "yes",
    "you", "your",
})
# fmt: on

_FAILED = re.compile(
    r"\b(?:unable to|was(?:n't| not) able|(?:could|can|did)(?:n't| not|"
    r"not) (?:find|get|book|do|locate|"
    r"make|reserve|process|complete|access|help|provide|buy|schedule|"
    r"see|answer|open|load|retrieve)|"
    r"no (?:results?|match(?:es|ing)?|luck|such|record)|nothing (?:found|"
    r"matche[sd]|available|came up)|"
    r"not (?:available|possible|found|successful)|unavailable|unsuccessful|"
    r"(?:has |have |was |is )?failed|"
    r"fully booked|sold out|went wrong|out of stock|unfortunately|there (?:are|were|is) no|"
    r"(?:don't|do not|doesn't|didn't) have (?:any|access|that|information)|"
    r"(?:the )?(?:booking|reservation|transfer|payment|request|purchase) "
    r"(?:did(?:n't| not)|could(?:n't| not)))"
)
_REFUSED = re.compile(
    r"\b(?:as an ai|i (?:can't|cannot|can not|won't|will not|am unable "
    r"to|'m unable to) (?:help|assist|do|provide|"
    r"discuss|write|answer|comply|give)|not able to (?:help|assist)|"
    r"against (?:my|the) (?:policy|guidelines))"
)
_SORRY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies|my mistake|my bad|oops)\b")
_ASKS_MORE = re.compile(
    r"\b(?:anything|something|what|any other\w*) (?:else|more)\b|\bother "
    r"help\b|\bfurther (?:help|assist\w*)|"
    r"\bmore help\b|\bhelp you with\b.*\?|\bneed any(?:thing| help)|\bhow else\b"
)
_OFFERS = re.compile(
    r"\b(?:would you like|do you want|shall i|should i|want me to|can "
    r"i|may i|i can|do you need|are you interested|"
    r"interested in|would you care|how about|what about|have you (?:seen|"
    r"tried|read|heard|considered)|"
    r"do you like|did you (?:like|see)|you (?:might|may|should|could) "
    r"(?:like|try|enjoy|check|want)|"
    r"i (?:would |'d )?(?:recommend|suggest)|i found|there (?:is|are|'s) \d+|there's a|try )"
)
_CONFIRMS = re.compile(
    r"\b(?:confirm|is (?:that|this|it|everything) (?:right|correct|ok|"
    r"okay|good|accurate)|correct\?|right\?|"
    r"to (?:verify|check|make sure)|verify)"
)
_DONE = re.compile(
    r"\b(?:booked|reserved|confirmed|scheduled|purchased|transferred|completed|all set|is set|done|"
    r"successful(?:ly)?|have been (?:made|sent|added)|has been (?:made|sent|added)|enjoy)\b"
)


class Answer(NamedTuple):
    """What kind of answer the reply reacts to."""

    empty: bool
    """Nothing was said."""
    failed: bool
    """It says that something could not be found or done."""
    refused: bool
    """It declines to help."""
    sorry: bool
    """It apologises."""
    asks: bool
    """It ends with a question."""
    asks_more: bool
    """It asks whether there is anything else."""
    offers: bool
    """It proposes something."""
    confirms: bool
    """It asks for a confirmation."""
    done: bool
    """It reports that something was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A judged turn as the cues see it."""

    text: str
    """The reply in the user's own voice: normalised, without quotations, code and pasted text."""
    sentences: tuple[str, ...]
    """``text`` cut into sentences, end marks kept."""
    words: tuple[str, ...]
    """The words of ``text``."""
    question: bool
    """Whether the reply ends by asking."""
    answer: Answer
    """What it reacts to."""
    repeated: float
    """Share of the reply's content words that one earlier utterance of the user held, in [0, 1]."""
    taken_up: float
    """Share of the reply's content words that come from the answer, in [0, 1]."""
    last: bool
    """Whether it is the last thing said."""
    opening: bool
    """Whether nothing had been asked before."""

    @property
    def readable(self) -> bool:
        """Whether there is a face or enough of the Latin alphabet in it to read."""
        if FACE.search(self.text):
            return True
        letters = _LETTER.findall(self.text)
        return bool(2 * sum(letter.isascii() for letter in letters) > len(letters))


FACE = re.compile(r"[:;=][-']?[)d(p/|]|<3|[\U0001F300-\U0001FAFF\u2639-\u263B\u2764]")


def normalise(text: str) -> str:
    """Fold case, spacing and typographic quotes; the text a user would see as the same."""
    folded = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    return _SPACE.sub(" ", folded).strip()


def own_voice(text: str) -> str:
    """The reply without what is quoted, coded or pasted, normalised."""
    plain = _CODE.sub(" . ", text.replace("\x00", " "))
    folded = normalise(plain)
    unquoted = _QUOTED.sub(" it ", folded)
    words = unquoted.split(" ")
    if len(words) > HEAD_WORDS + TAIL_WORDS:
        words = [*words[:HEAD_WORDS], ".", *words[-TAIL_WORDS:]]
    return _SPACE.sub(" ", " ".join(words)).strip()


def content_words(text: str) -> frozenset[str]:
    """The words that carry the matter, crudely stemmed, for measuring overlap."""
    # Distinct words only, and each stemmed once a process: a log says the same words over and over.
    found = map(_stem, set(_WORD.findall(normalise(text)[:4000])))
    return frozenset(found) - STOPWORDS


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    for ending in ("'s", "ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _overlap(mine: frozenset[str], other: frozenset[str]) -> float:
    return len(mine & other) / len(mine) if mine else 0.0


def _repeated(mine: frozenset[str], before: tuple[str, ...]) -> float:
    """The largest overlap with one earlier utterance, 0 where there is too little to compare."""
    if len(mine) < 2:
        return 0.0
    shares = [
        _overlap(mine, theirs) for theirs in map(content_words, before) if len(theirs & mine) >= 2
    ]
    return max(shares, default=0.0)


def read_answer(answer: str) -> Answer:
    """What kind of answer it is, from its wording (its last 60 words say what it asks)."""
    text = normalise(answer[-6000:])
    end = " ".join(text.split(" ")[-60:])
    start = " ".join(text.split(" ")[:60])
    asks = end.rstrip(" \"')").endswith("?")
    asks_more = bool(_ASKS_MORE.search(end)) and (asks or len(end) < 120)
    offers = bool(_OFFERS.search(end)) and not asks_more
    return Answer(
        empty=not text,
        failed=bool(_FAILED.search(start)),
        refused=bool(_REFUSED.search(start)),
        sorry=bool(_SORRY.search(start)),
        asks=asks,
        asks_more=asks_more,
        offers=offers,
        confirms=bool(_CONFIRMS.search(text[:400])),
        done=bool(_DONE.search(start)),
    )


def read(turn: JudgedTurn) -> Reading:
    """Prepare a turn for its cues."""
    text = own_voice(turn.reply)
    sentences = tuple(s.strip() for s in _SENTENCE.findall(text) if s.strip())
    mine = content_words(text)
    before = tuple(u for u in (*turn.earlier[-8:], turn.user) if u)
    return Reading(
        text=text,
        sentences=sentences,
        words=tuple(_WORD.findall(text)),
        question=text.rstrip(" \"')").endswith("?"),
        answer=read_answer(turn.assistant),
        repeated=_repeated(mine, before),
        taken_up=_overlap(mine, content_words(turn.assistant)) if len(mine) >= 2 else 0.0,
        last=turn.last,
        opening=not turn.user.strip(),
    )
