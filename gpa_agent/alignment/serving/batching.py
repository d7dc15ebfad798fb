"""Several requests answered together, whatever their groups.

transformers' ``generate`` does the forward passes and keeps the cache; what a row says next and
when it is done is decided here, row by row, by its request. The base's own generation settings
(penalties, top-k ...) are not applied: a request says what it wants.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from gpa_agent.alignment.sampling import Sampler, Sampling
from gpa_agent.alignment.serving.handles import Job
from gpa_agent.alignment.serving.loading import Loaded
from gpa_agent.errors import ModelError

_log = logging.getLogger(__name__)


def answer(loaded: Loaded, jobs: Sequence[Job]) -> None:
    """Answer requests together; each ends with an answer or an error, and nothing is raised.

    Args:
        loaded: Base and adapters; this thread alone may touch them.
        jobs: The requests.
    """
    try:
        _generate(loaded, jobs)
    except Exception as error:  # noqa: BLE001 -- told to whoever asked
        _log.exception("a batch of %d answers broke off", len(jobs))
        for job in jobs:
            job.fail(_broken(error))


def _generate(loaded: Loaded, jobs: Sequence[Job]) -> None:
    model = loaded.model
    rows = _Rows(jobs, loaded.ends, model.device)
    width = max(len(job.prompt) for job in jobs)
    ids = torch.tensor([[0] * (width - len(job.prompt)) + job.prompt for job in jobs])
    mask = torch.tensor([[0] * (width - len(j.prompt)) + [1] * len(j.prompt) for j in jobs])
    with loaded.mixture.answering([loaded.numbers[job.request.adapter] for job in jobs]):
        model.generate(
            input_ids=ids.to(model.device),  # (B, T), padded on the left
            attention_mask=mask.to(model.device),
            generation_config=GenerationConfig(max_new_tokens=max(job.limit for job in jobs)),
            logits_processor=LogitsProcessorList([rows.choose]),
            stopping_criteria=StoppingCriteriaList([rows.read]),
        )


class _Rows:
    """The rows of a batch, as ``generate`` asks about them at every token."""

    def __init__(self, jobs: Sequence[Job], ends: frozenset[int], device: torch.device) -> None:
        self._jobs = jobs
        self._ends = ends
        self._sampler = Sampler(
            [Sampling(j.request.temperature, j.request.top_p, j.request.seed) for j in jobs],
            device,
        )

    def choose(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """A logits processor: leaves each row one token."""
        chosen = self._sampler.pick(scores)[:, None]
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen, 0.0)

    def read(self, ids: torch.Tensor, _: object) -> torch.Tensor:
        """A stopping criterion: hands each row its token, and says which rows are done."""
        for job, token in zip(self._jobs, ids[:, -1].tolist(), strict=True):
            try:
                job.take(token, ends=token in self._ends)
            except Exception as error:  # noqa: BLE001 -- one row's fault is not the others'
                job.fail(_broken(error))
        return torch.tensor([job.done for job in self._jobs], device=ids.device)


def _broken(error: Exception) -> ModelError:
    return ModelError(
        f"the local model broke off: {type(error).__name__}; the log has the details; "
        "the same request may work again, where memory ran out with fewer at a time (max_batch)"
    )
