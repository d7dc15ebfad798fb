"""OpenAI's batch files, answered by the simulated provider as the batch endpoint would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from gpa_agent.errors import DataError
from gpa_agent.testing.completions import complete, completion_body, digest, error_body, said_in
from gpa_agent.testing.simulated_provider import MODEL_NAME, SimulatedProvider


class BatchReport(NamedTuple):
    """What became of a batch file.

    Attributes:
        answered: Requests in the output file.
        failed: Requests in the error file.
    """

    answered: int
    failed: int


def answer_batch(
    requests_path: Path,
    output_path: Path,
    *,
    errors_path: Path | None = None,
    errors: float = 0.0,
    provider: SimulatedProvider | None = None,
    seed: int = 0,
) -> BatchReport:
    """Answer an OpenAI batch file, as the batch endpoint would within its day.

    Args:
        requests_path: JSON Lines with ``custom_id``, ``method``, ``url`` and ``body``.
        output_path: Where the answers go, in an order of their own, as OpenAI's do.
        errors_path: Where the failures go; None leaves them out.
        errors: Share in [0, 1] of requests that fail (half expired, half with status 500).
        provider: What answers.
        seed: Of the failures and the order; what failed fails again under the same seed.

    Raises:
        DataError: A line is no batch request.
    """
    model = provider or SimulatedProvider()
    answers: dict[str, str] = {}
    failures: dict[str, str] = {}
    with requests_path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            request = _request(line, where=f"{requests_path}, line {number}")
            rng = Random(f"{seed}/batch/{request.custom_id}")
            failed = rng.random() < errors
            outcome = _failure(rng.random() < 0.5) if failed else _answered(model, request.body)
            written = {"id": f"batch_req_{number}", "custom_id": request.custom_id, **outcome}
            into = failures if failed else answers
            into[request.custom_id] = json.dumps(written, ensure_ascii=False) + "\n"
    order = sorted(answers, key=lambda id_: sha256(f"{seed}/{id_}".encode()).digest())
    output_path.write_text("".join(answers[id_] for id_ in order), encoding="utf-8")
    if errors_path is not None:
        errors_path.write_text("".join(failures.values()), encoding="utf-8")
    return BatchReport(len(answers), len(failures))


class _Request(NamedTuple):
    custom_id: str
    body: Mapping[str, Any]


def _request(line: str, *, where: str) -> _Request:
    try:
        request = json.loads(line)
        said_in(request["body"])
        to = (request["method"], request["url"])
        custom_id = str(request["custom_id"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where} is no batch request: {error}. Expected a JSON object with custom_id, "
            "method, url and body"
        ) from error
    if to != ("POST", "/v1/chat/completions"):
        raise DataError(f"{where} goes to {to!r}; expected POST to /v1/chat/completions")
    return _Request(custom_id, request["body"])


def _answered(provider: SimulatedProvider, body: Mapping[str, Any]) -> dict[str, Any]:
    said = said_in(body)
    question = digest(said)
    shown = completion_body(
        complete(provider, said),
        id_=f"chatcmpl-{question[:24]}",
        model=str(body.get("model", MODEL_NAME)),
    )
    response = {"status_code": 200, "request_id": f"req_{question[:24]}", "body": shown}
    return {"response": response, "error": None}


def _failure(expired: bool) -> dict[str, Any]:
    if expired:
        said = "This request could not be executed before the completion window expired."
        return {"response": None, "error": {"code": "batch_expired", "message": said}}
    broken = error_body("The server had an error", kind="server_error")
    return {"response": {"status_code": 500, "request_id": "", "body": broken}, "error": None}
