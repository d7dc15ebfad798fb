"""A folder of OpenAI batch files: requests to upload, results that were downloaded, what waits.

::

    batch-0001.jsonl            requests, to be uploaded to ``/v1/batches``
    batch-0001.manifest.jsonl   what its requests are about, of those that have no result yet
    *                           result files (output and error files), whatever they are called
    refused.jsonl               questions the provider will never answer
    done/                       requests that have their results, and results that were read

Every file is written whole or not at all, and in an order in which a stop at any moment loses
nothing: a manifest before its requests, answers before the manifest that waits for them. Result
files are read as untrusted: only what a manifest waits for is looked at. They are to be moved in
when they are complete. They hold texts of users: where a person is forgotten, this folder is to
be emptied, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpa_agent.calls.messages import Usage
from gpa_agent.errors import DataError, StoreError
from gpa_agent.files import write_whole

URL: Final = "/v1/chat/completions"
"""The endpoint of every request."""

MOST_REQUESTS: Final = 50_000
"""Requests in a file, at most: what OpenAI takes."""

MOST_BYTES: Final = 190_000_000
"""Bytes of a file, at most: OpenAI takes 200 MB."""

REFUSED_STATUS: Final = frozenset({400, 413, 422})
"""Statuses that asking again does not change."""

_OURS: Final = re.compile(r"batch-(\d{4,})(\.manifest)?\.jsonl|refused\.jsonl")
_LOOKED_AT: Final = 65_536
"""Bytes in which a result names itself: ``custom_id`` is among its first keys."""


class Waited(NamedTuple):
    """What a request is about; a line of a manifest.

    Attributes:
        key: The call ledger's key, the request's ``custom_id``.
        model: Name of the model.
        prompt: Name of the prompt.
        version: Version of the prompt.
        subject: Whom it is about, as the call ledger keeps it.
    """

    key: str
    model: str
    prompt: str
    version: str
    subject: str | None


class Said(NamedTuple):
    """An answer in a result file.

    Attributes:
        text: What the model said.
        finish_reason: Why it stopped, in the provider's word, or ``refusal``.
        usage: Tokens; None where the provider does not say.
    """

    text: str
    finish_reason: str
    usage: Usage | None


class Outcome(NamedTuple):
    """A line of a result file.

    Attributes:
        key: Whose; "" where the line cannot be read at all.
        kind: ``answered``; ``refused``, which asking again does not change; ``failed`` (an error,
            an expired request); ``malformed``, which nobody can read.
        said: The answer, where there is one.
    """

    key: str
    kind: Literal["answered", "refused", "failed", "malformed"]
    said: Said | None = None


class BatchFolder:
    """The folder and what it waits for.

    Args:
        path: The folder; made with the first file.

    Raises:
        DataError: A manifest is damaged.
        StoreError: The folder cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: dict[str, Waited] = {}
        """Requests that were written and have no result yet, by key."""
        self.refused: set[str] = set()
        """Keys of the questions that will never be answered."""
        self._batch_of: dict[str, str] = {}
        self._load()

    def results(self) -> list[Path]:
        """Result files that were not read yet, told by their content."""
        return [
            path
            for path in _files(self.path)
            if not _OURS.fullmatch(path.name) and _is_result(path)
        ]

    def write(self, requests: Mapping[Waited, Mapping[str, Any]]) -> list[Path]:
        """Write requests to be uploaded, as many files as it takes.

        Args:
            requests: The body of each.

        Returns:
            The files.

        Raises:
            StoreError: They cannot be written.
        """
        lines = ((waited, _line(waited.key, body)) for waited, body in requests.items())
        return [self._write(batch) for batch in _split(lines)]

    def outcomes(self, path: Path) -> Iterator[Outcome]:
        """What a result file says of requests that are waited for; each line, once.

        Raises:
            StoreError: It cannot be read.
        """
        with _reading(path), path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield _outcome(line)

    def settle(self, path: Path, *, settled: set[str], refused: set[str], over: set[str]) -> None:
        """Take a result file as read: what it settles is not waited for any more.

        Args:
            path: The result file; it moves to ``done``.
            settled: Keys it has a result for, good or bad.
            refused: Of these, what is never to be asked again.
            over: Keys it has an answer for. An output file comes when its batch is over, so the
                rest of that batch is not waited for either.

        Raises:
            StoreError: The folder cannot be written.
        """
        if refused - self.refused:
            self.refused |= refused
            lines = (_dumped({"custom_id": key}) for key in sorted(self.refused))
            write_whole(self.path / "refused.jsonl", b"".join(lines))
        ended = {self._batch_of[key] for key in over}
        touched = ended | {self._batch_of[key] for key in settled}
        for batch in sorted(touched):
            self._release(batch, settled=settled, all_of_it=batch in ended)
        with _reading(path), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._done(path, f"result-{digest[:16]}.jsonl")

    def _load(self) -> None:
        for path in _files(self.path):
            named = _OURS.fullmatch(path.name)
            if named is None or named[2] is None:
                continue
            batch = path.name.removesuffix(".manifest.jsonl")
            if not self._requests(batch).exists():
                path.unlink(missing_ok=True)
                continue
            for waited in _manifest(path):
                self.waiting[waited.key] = waited
                self._batch_of[waited.key] = batch
        refused = self.path / "refused.jsonl"
        if refused.exists():
            self.refused = {str(entry["custom_id"]) for entry in _entries(refused)}

    def _write(self, lines: Mapping[Waited, bytes]) -> Path:
        batch = f"batch-{self._next_number():04d}"
        requests = self._requests(batch)
        write_whole(self._manifest_of(batch), b"".join(_dumped(w._asdict()) for w in lines))
        write_whole(requests, b"".join(lines.values()))
        for waited in lines:
            self.waiting[waited.key] = waited
            self._batch_of[waited.key] = batch
        return requests

    def _release(self, batch: str, *, settled: set[str], all_of_it: bool) -> None:
        keys = [key for key, of in self._batch_of.items() if of == batch]
        gone = keys if all_of_it else [key for key in keys if key in settled]
        for key in gone:
            del self._batch_of[key], self.waiting[key]
        if len(gone) < len(keys):
            left = (self.waiting[key] for key in keys if key in self.waiting)
            write_whole(self._manifest_of(batch), b"".join(_dumped(w._asdict()) for w in left))
            return
        self._done(self._requests(batch), f"{batch}.jsonl")
        self._manifest_of(batch).unlink(missing_ok=True)

    def _done(self, path: Path, name: str) -> None:
        done = self.path / "done"
        with _reading(path):
            done.mkdir(exist_ok=True)
            path.replace(done / name)

    def _requests(self, batch: str) -> Path:
        return self.path / f"{batch}.jsonl"

    def _manifest_of(self, batch: str) -> Path:
        return self.path / f"{batch}.manifest.jsonl"

    def _next_number(self) -> int:
        files = [*_files(self.path), *_files(self.path / "done")]
        numbers = [int(m[1]) for f in files if (m := _OURS.fullmatch(f.name)) and m[1]]
        return max(numbers, default=0) + 1


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = Field(default=None, ge=0)


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    prompt_tokens_details: _Details | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Response(BaseModel):
    status_code: int
    body: Any = None


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)

    custom_id: str
    response: _Response | None = None
    error: Any = None


def _outcome(line: bytes) -> Outcome:
    try:
        result = _Result.model_validate(json.loads(line))
    except (ValueError, RecursionError):
        return Outcome("", "malformed")
    response = result.response
    if response is None or result.error is not None:
        return Outcome(result.custom_id, "failed")
    if response.status_code != 200:
        refused = response.status_code in REFUSED_STATUS
        return Outcome(result.custom_id, "refused" if refused else "failed")
    try:
        return Outcome(result.custom_id, "answered", _said(response.body))
    except ValidationError:
        return Outcome(result.custom_id, "malformed")


def _said(body: object) -> Said:
    completion = _Completion.model_validate(body)
    choice, used = completion.choices[0], completion.usage
    usage = None
    if used is not None:
        details = used.prompt_tokens_details
        cached = (details.cached_tokens if details else None) or 0
        usage = Usage(used.prompt_tokens, used.completion_tokens, cached)
    reason = "refusal" if choice.message.refusal else choice.finish_reason or "stop"
    return Said(choice.message.content or "", reason, usage)


def _split(lines: Iterable[tuple[Waited, bytes]]) -> Iterator[dict[Waited, bytes]]:
    """Lines in files that are neither too long nor too large."""
    batch: dict[Waited, bytes] = {}
    size = 0
    for waited, line in lines:
        if batch and (len(batch) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield batch
            batch, size = {}, 0
        batch[waited] = line
        size += len(line)
    if batch:
        yield batch


def _line(key: str, body: Mapping[str, Any]) -> bytes:
    return _dumped({"custom_id": key, "method": "POST", "url": URL, "body": body})


def _dumped(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _files(folder: Path) -> list[Path]:
    """The regular files of a folder, where there is one, in the order of their names."""
    try:
        if not folder.exists():
            return []
        return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    except OSError as exc:
        raise _unusable(folder, exc) from exc


def _is_result(path: Path) -> bool:
    with _reading(path), path.open("rb") as file:
        head = file.read(_LOOKED_AT).lstrip()
    line = head.partition(b"\n")[0]
    named = line.startswith(b"{") and b'"custom_id"' in line
    return named and (b'"response"' in line or b'"error"' in line) and b'"method"' not in line


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with _reading(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError) as exc:
                raise DataError(
                    f"{path}:{number}: not a line that gpa-agent wrote; put the file back as it "
                    "was, or delete it: what it waited for is then asked again"
                ) from exc


def _manifest(path: Path) -> Iterator[Waited]:
    for entry in _entries(path):
        try:
            yield Waited(**entry)
        except TypeError as exc:
            raise DataError(f"{path} is not a manifest that gpa-agent wrote; delete it") from exc


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        raise _unusable(path, exc) from exc


def _unusable(path: Path, exc: OSError) -> StoreError:
    return StoreError(
        f"cannot use {path}: {exc.strerror or exc}; check that it is there, and its permissions"
    )
