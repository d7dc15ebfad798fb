"""An answer as the traits see it: read once, shared by all of them.

One pass over the lines tells fenced code, headings, list items, table rows and plain lines
apart (a small part of CommonMark; an unclosed fence runs to the end). What remains without
code, addresses and markers is the prose; it is lower-cased, split into sentences and words, and
counted as words, pairs and triples of words, so that a word list (`lexicon`) is one set
intersection.

Every pattern is linear in the text: no quantifier stands inside another, and bounded repeats
are short.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache, cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from gpa_agent.errors import UsageError

_FENCES = ("```", "~~~")
_BULLETS = frozenset("-*+\u2022\u2013\u00b7\u25e6\u25cf\u25aa")
_OWN_BULLETS = frozenset("\u2022\u25e6\u25cf\u25aa")
"""Characters that are a bullet also without a space behind them."""
_MARKED = _BULLETS | frozenset("#|>(")

_Kind = Literal["plain", "quoted", "heading", "bullet", "numbered", "row", "rule", "code"]
_PLAIN = frozenset(("plain", "quoted"))

_NUMBERED = re.compile(r"\(?(\d{1,3})[.)](?!\d)\s*")
_SPANS = re.compile(r"`[^`\n]*`")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_\u201d]{0,3}\s+|\n")
_WORD = re.compile(r"\d[\d.,]*|[^\W\d_]+(?:'[^\W\d_]+)?")
_TABLE_RULE = frozenset("|-: \t")
_PROMPT_CHARS = 2000
"""Characters of the prompt that are read, from its end, where the question is."""

Lexicon = frozenset[str]
"""Lower-case words, and phrases of two or three words, with straight apostrophes."""


def lexicon(*texts: str) -> Lexicon:
    """Make a word list.

    Args:
        texts: Expressions separated by commas or line ends, each of one to three words.

    Raises:
        UsageError: An expression that could never be found.

    Example:
        >>> sorted(lexicon("might, may", "it depends"))
        ['it depends', 'may', 'might']
    """
    pieces = (piece.split() for piece in re.split(r"[,\n]", ",".join(texts)))
    expressions = frozenset(" ".join(words) for words in pieces if words)
    for expression in expressions:
        words = _WORD.findall(expression)
        if " ".join(words) != expression or len(words) > 3 or expression != expression.lower():
            raise UsageError(f"{expression!r} is not one to three lower-case words: write it so")
    return expressions


class Lines(NamedTuple):
    """What the pass over the lines found.

    Attributes:
        prose: Lines without code, with their list and heading markers taken off.
        plain: Those of them with words that are neither list item, heading nor table row.
        numbered: Numbered list items, without their numbers.
        bullets: Number of bulleted list items.
        headings: Number of headings, ``#`` or a line of its own in bold.
        table_rows: Number of table rows, the rule under the header left out.
        code_lines: Lines of fenced code.
        quoted: Lines of block quotes.
    """

    prose: list[str]
    plain: list[str]
    numbered: list[str]
    bullets: int
    headings: int
    table_rows: int
    code_lines: int
    quoted: int


class Answer:
    r"""A text and the prompt it answers, with everything that traits share read at most once.

    Args:
        prompt: What was asked; only its last 2,000 characters are read.
        text: The answer; white space around it does not count.

    Example:
        >>> answer = Answer("Why?", "- It might rain.\n- Or not.")
        >>> answer.lines.bullets, len(answer.sentences), answer.words[:2]
        (2, 2, ['it', 'might'])
    """

    def __init__(self, prompt: str, text: str) -> None:
        self.prompt = prompt
        self.text = _plain_marks(text.strip())

    @cached_property
    def lines(self) -> Lines:
        """The lines by kind."""
        return _read_lines(self.text)

    @cached_property
    def prose(self) -> str:
        """Lower-case text without code and addresses; one line per line of prose."""
        text = "\n".join(self.lines.prose)
        if "`" in text:
            text = _SPANS.sub(" ", text)
        if "://" in text or "www." in text:
            text = _ADDRESS.sub(" ", text)
        text = text.lower()
        # Else their full stops would end sentences.
        return text.replace("e.g.", "eg").replace("i.e.", "ie")

    @cached_property
    def marked(self) -> str:
        """The text with fenced code left out, as written: for marks such as bold or backticks."""
        return "\n".join(self.lines.prose)

    @cached_property
    def _spoken(self) -> tuple[list[str], list[list[str]]]:
        texts: list[str] = []
        sentences: list[list[str]] = []
        for text in _SENTENCE_END.split(self.prose):
            words = _WORD.findall(text)
            if words:
                texts.append(text)
                sentences.append(words)
        return texts, sentences

    @property
    def sentences(self) -> list[list[str]]:
        """The words of each sentence; a line's end also ends a sentence; none is empty."""
        return self._spoken[1]

    @property
    def sentence_texts(self) -> list[str]:
        """The sentences as text, lower-case."""
        return self._spoken[0]

    @cached_property
    def words(self) -> list[str]:
        """Words and numbers of the prose, lower-case."""
        return [word for sentence in self.sentences for word in sentence]

    @cached_property
    def plain_sentences(self) -> int:
        """Number of sentences in plain lines: not list items, headings or table cells."""
        return sum(len(_SENTENCE_END.split(line)) for line in self.lines.plain)

    @cached_property
    def sentence_length(self) -> float:
        """Words per sentence of the plain lines, or of everything where none is plain."""
        if self.plain_sentences:
            return sum(len(line.split()) for line in self.lines.plain) / self.plain_sentences
        return len(self.words) / max(len(self.sentences), 1)

    @cached_property
    def expressions(self) -> Counter[str]:
        """How often each word, pair and triple of neighbouring words occurs."""
        words = self.words
        pairs = [f"{a} {b}" for a, b in pairwise(words)]
        triples = [f"{a} {b}" for a, b in zip(pairs, words[2:], strict=False)]
        return Counter(words + pairs + triples)

    @cached_property
    def _types(self) -> frozenset[str]:
        return frozenset(self.expressions)

    def count(self, lexicon: Lexicon) -> int:
        """How often the expressions of a word list occur in the prose."""
        found = lexicon & self._types
        if not found:
            return 0
        counts = self.expressions
        return sum(counts[expression] for expression in found)

    def opens_with(self, lexicon: Lexicon, words: list[str]) -> bool:
        """Whether words (at least one) begin with an expression of a word list."""
        return words[0] in _first_words(lexicon) and any(
            " ".join(words[:n]) in lexicon for n in (1, 2, 3)
        )

    @cached_property
    def question(self) -> str:
        """The end of the prompt, lower-case."""
        return _plain_marks(self.prompt[-_PROMPT_CHARS:]).lower()


@cache
def _first_words(lexicon: Lexicon) -> Lexicon:
    return frozenset(expression.split(" ")[0] for expression in lexicon)


def _plain_marks(text: str) -> str:
    if not text.isascii():
        text = text.replace("\u2019", "'")
    return text.replace("\r\n", "\n") if "\r" in text else text


def _read_lines(text: str) -> Lines:
    prose: list[str] = []
    plain: list[str] = []
    numbered: list[str] = []
    seen: Counter[_Kind] = Counter()
    fence = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if fence:
            if line.startswith(fence):
                fence = ""
            else:
                seen["code"] += 1
        elif line.startswith(_FENCES):
            # A fence that closes on its own line is one line of code.
            one_line = line.count(line[:3]) > 1
            seen["code"] += one_line
            fence = "" if one_line else line[:3]
        elif line:
            kind, body = _kind_of(line)
            seen[kind] += 1
            if kind == "row":
                # Each cell is a phrase of its own, none part of a long sentence.
                prose.extend(cell.strip() for cell in body.split("|"))
            else:
                prose.append(body)
            if kind in _PLAIN and _WORD.search(body):
                plain.append(body)
            elif kind == "numbered":
                numbered.append(body)
    return Lines(
        prose=prose,
        plain=plain,
        numbered=numbered,
        bullets=seen["bullet"],
        headings=seen["heading"],
        table_rows=seen["row"],
        code_lines=seen["code"],
        quoted=seen["quoted"],
    )


def _kind_of(line: str) -> tuple[_Kind, str]:
    """The kind of a line that may have a marker, and its text without it."""
    first = line[0]
    if first not in _MARKED and not first.isdecimal():
        return "plain", line
    if _is_heading(line):
        return "heading", line.lstrip("# ")
    if first == "|" and line.count("|") > 1:
        return ("rule", "") if _TABLE_RULE.issuperset(line) else ("row", line)
    if first == ">":
        return "quoted", line.lstrip("> ")
    if first in _BULLETS and (first in _OWN_BULLETS or line[1:2].isspace()):
        return "bullet", line[1:].lstrip()
    number = _NUMBERED.match(line)
    return ("numbered", line[number.end() :]) if number else ("plain", line)


def _is_heading(line: str) -> bool:
    if line[0] == "#":
        hashes = len(line) - len(line.lstrip("#"))
        return hashes <= 6 and line[hashes : hashes + 1].isspace()
    # A line of its own in bold.
    return (
        line.startswith("**")
        and line.rstrip(":").endswith("**")
        and len(line) > 4
        and line.count("**") == 2
    )
