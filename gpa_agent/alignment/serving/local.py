"""A local engine: one base, an adapter for each group, and many askers at a time.

Which adapter answers is a state of the model's layers, here as in PEFT: of two threads that
generate at the same time one would get the other's group's answer. So one worker owns the model.
Requests wait in a bounded line; whoever is there when the worker is free is answered together,
whatever their groups, each by its own limits, seed and stop strings. None joins a batch that
runs already: that would mean our own attention cache in place of transformers', for every
architecture; a bounded answer keeps the wait short enough.

On a CPU in float32 a greedy answer is the same alone and in a batch, and a seeded one draws the
same numbers; half precision rounds too much to promise it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from gpa_agent.alignment.deps import require
from gpa_agent.alignment.serving.adapters import Device
from gpa_agent.alignment.serving.asking import Request
from gpa_agent.alignment.serving.handles import AsyncHandle, Event, Handle, Job
from gpa_agent.alignment.serving.line import Line
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from gpa_agent.alignment.serving.loading import Loaded


class LocalEngine:
    """Answers requests with a base and its adapters.

    Args:
        base: Folder of a causal language model with its tokenizer and a chat template.
        adapters: A folder in PEFT's format for each group; none is fine.
        device: ``auto`` takes a GPU where there is one.
        max_batch: How many are answered together.
        max_waiting: How many may wait; one more is refused with `EngineBusy`.
        linger: Seconds the first of a batch waits for company.
        trust_base: Take adapters, too, of which no manifest says what base they belong to.

    Raises:
        MissingDependency: torch or its company is not installed.
        UsageError: An argument is wrong, the base has no chat template, or there is no GPU where
            one is asked for.
        DataError: A model is damaged, or an adapter does not belong to this base.

    Example:
        ```python
        with LocalEngine(Path("base"), {"expert": Path("expert-adapter")}) as engine:
            asked = [{"role": "user", "content": "What is a heap?"}]
            print(engine.submit(Request(messages=asked, adapter="expert")).result().text)
        ```
    """

    def __init__(
        self,
        base: Path,
        adapters: Mapping[str, Path] | None = None,
        *,
        device: Device = "auto",
        max_batch: int = 16,
        max_waiting: int = 256,
        linger: float = 0.003,
        trust_base: bool = False,
    ) -> None:
        if max_batch < 1 or max_waiting < 1 or linger < 0:
            raise UsageError("max_batch and max_waiting are at least 1, linger at least 0")
        require("serve group models")
        from gpa_agent.alignment.serving.loading import load  # noqa: PLC0415 -- loads torch

        loaded = load(base, adapters or {}, device=device, trust_base=trust_base)
        self.base = base
        """The base's folder."""
        self.adapters: Mapping[str, Path] = MappingProxyType(dict(adapters or {}))
        """The groups that have an adapter, with its folder."""
        self.context = loaded.context
        """Tokens of prompt and answer together."""
        self._tokenizer = loaded.tokenizer
        self._vocabulary = loaded.vocabulary
        self._tokenizing = threading.Lock()  # a fast tokenizer is not for two threads
        self._line = Line(most=max_waiting, batch=max_batch, context=loaded.context, linger=linger)
        self._worker = threading.Thread(
            target=_work, args=(loaded, self._line), name="gpa-local", daemon=True
        )
        # Also where nobody closes it: when it is collected, and before the interpreter ends.
        self._stop = weakref.finalize(self, _stop, self._line, self._worker)
        self._worker.start()

    def submit(self, request: Request) -> Handle:
        """Ask for an answer.

        Args:
            request: What is wanted.

        Returns:
            Where it will be.

        Raises:
            UsageError: There is no such adapter, or the conversation is too long or cannot be
                rendered.
            EngineBusy: Too many wait.
            EngineClosed: The engine is closed.
        """
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        return Handle(self._enqueue(request, events.put), events)

    def asubmit(self, request: Request) -> AsyncHandle:
        """Ask for an answer from inside an event loop, which will not be blocked.

        Args:
            request: What is wanted.

        Returns:
            Where it will be.

        Raises:
            UsageError: As for `submit`.
            EngineBusy: Too many wait.
            EngineClosed: The engine is closed.
        """
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        return AsyncHandle(self._enqueue(request, put), events)

    def tokenize(self, text: str) -> list[int]:
        """The base's token ids of a text.

        Args:
            text: Any.
        """
        with self._tokenizing:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def close(self, *, drain: bool = True) -> None:
        """Take no more requests, and wait until the worker is done.

        Args:
            drain: Whether those there are still answered; else they end with `EngineClosed`.
        """
        if drain:
            self._line.close()
            self._worker.join()
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(drain=False)

    def _enqueue(self, request: Request, deliver: Callable[[Event], None]) -> Job:
        if request.adapter is not None and request.adapter not in self.adapters:
            raise UsageError(
                f"no adapter for {request.adapter!r} is loaded; there are {list(self.adapters)}"
            )
        prompt = self._render(request.messages)
        room = self.context - len(prompt)
        if room < 1:
            raise UsageError(
                f"the conversation has {len(prompt)} tokens and the model {self.base.name!r} a "
                f"context of {self.context}, answer included; shorten it"
            )
        job = Job(
            request,
            prompt=prompt,
            limit=min(request.max_tokens, room),
            decode=self._decode,
            deliver=deliver,
        )
        self._line.join(job)
        return job

    def _render(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        from jinja2 import TemplateError  # noqa: PLC0415 -- comes with torch

        try:
            with self._tokenizing:
                ids: list[int] = self._tokenizer.apply_chat_template(
                    [dict(message) for message in messages],
                    add_generation_prompt=True,
                    return_dict=True,
                )["input_ids"]
        except (TemplateError, TypeError, ValueError) as exc:
            raise UsageError(
                f"the chat template of {self.base.name!r} refuses the conversation: {exc}"
            ) from exc
        if not ids or max(ids) >= self._vocabulary:
            raise UsageError(
                f"the conversation is empty once rendered, or holds a token that "
                f"{self.base.name!r} has no weights for: its tokenizer or template is of another "
                "model"
            )
        return ids

    def _decode(self, ids: list[int]) -> str:
        with self._tokenizing:
            text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _work(loaded: Loaded, line: Line) -> None:
    """The worker thread; it alone touches the model, and lets go of it when it ends."""
    import torch  # noqa: PLC0415 -- an extra

    try:
        with torch.inference_mode():
            while _answer_next(loaded, line):
                pass
    finally:
        line.abandon()


def _answer_next(loaded: Loaded, line: Line) -> bool:
    from gpa_agent.alignment.serving.batching import answer  # noqa: PLC0415 -- loads torch

    # A function of its own, so that an idle worker holds no request: a request holds its engine.
    jobs = line.take()
    if jobs:
        answer(loaded, jobs)
    return bool(jobs)


def _stop(line: Line, worker: threading.Thread) -> None:
    line.abandon()
    if worker is not threading.current_thread():  # it may drop the last request, and so the engine
        worker.join()
