"""Who asks a block of questions for the Daft engine: this process, or a Ray cluster's nodes."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.caller import priced
from gpa_agent.calls.counts import CallCounts, Figures
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.shares import Elsewhere, Here, Report, Worker, divided, used_up
from gpa_agent.errors import GPAError, MissingDependency, UsageError
from gpa_agent.models import ChatModelRecipe, model_name

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.calls.prices import Price
    from gpa_agent.ledger import Ledger

_THIS_MACHINE: Final = frozenset({"auto", "local", "localhost", "127.0.0.1"})
"""What ``RAY_ADDRESS`` calls it."""


class Cut(NamedTuple):
    """How a block is asked.

    Attributes:
        worker: Asks a share.
        shares: How many, side by side.
    """

    worker: Worker
    shares: int


class Workers(Protocol):
    """Who asks; keeps the run's limits from block to block."""

    def open(self, daft: Any) -> None:  # noqa: ANN401 -- a module that need not be installed
        """Get ready.

        Raises:
            MissingDependency: Ray is not installed.
            UsageError: It cannot be done in this process, or with this ledger.
        """
        ...

    def close(self) -> None:
        """Give back what was taken to get ready."""
        ...

    def cut(self, questions: int) -> Cut:
        """Who asks the next so many questions, at least one."""
        ...

    def settle(self, reports: Sequence[Report]) -> GPAError | None:
        """Take in what the shares came to.

        Returns:
            What ends the run; None where questions left open are to be asked again.
        """
        ...


class OneHere:
    """One worker in this process: the asyncio engine, which keeps limits and counts itself.

    Args:
        engine: Is entered and left here.
    """

    def __init__(self, engine: AsyncioEngine) -> None:
        self._worker = Here(engine)

    def open(self, daft: Any) -> None:  # noqa: ANN401 -- a module that need not be installed
        """As `Workers`."""
        if daft.get_or_infer_runner_type() != "native":
            raise UsageError(
                "Daft runs on Ray in this process and cannot change: ask with the runner "
                "'daft-ray', or in a new process without DAFT_RUNNER=ray"
            )
        self._worker.engine.__enter__()

    def close(self) -> None:
        """As `Workers`."""
        self._worker.engine.__exit__(None, None, None)

    def cut(self, questions: int) -> Cut:
        """As `Workers`."""
        del questions
        return Cut(self._worker, 1)

    def settle(self, reports: Sequence[Report]) -> GPAError | None:
        """As `Workers`."""
        return next((report.error for report in reports if report.error is not None), None)


class OnRay:
    """A worker on every node of a Ray cluster, each with a part of what the run has left.

    Args:
        model: How workers open the chat model.
        ledger: Workers open the same one.
        limits: Of all workers together.
        price: What the model costs; by default as on the list, where it is there.
        counts: Grow as shares are done.

    Raises:
        UsageError: A cost limit is set and no price is known, or the model is not a recipe.
    """

    def __init__(
        self,
        model: BaseChatModel | ChatModelRecipe,
        ledger: Ledger,
        limits: Limits,
        *,
        price: Price | None,
        counts: CallCounts,
    ) -> None:
        if not isinstance(model, ChatModelRecipe):
            raise UsageError(
                f"a chat model that is open here ({type(model).__name__}) cannot be sent to Ray's "
                "workers: give it by name, ChatModelRecipe(model='PROVIDER:NAME'), or ask with the "
                "runner 'daft'"
            )
        self._model = model
        self._url = ledger.url
        self._limits = limits
        self._price = priced(model_name(model.model), limits, price)
        self._counts = counts
        self._spent = Figures()
        self._ray: Any = None
        self._began = 0.0

    def open(self, daft: Any) -> None:  # noqa: ANN401 -- a module that need not be installed
        """As `Workers`."""
        self._ray = _ray(in_a_file=self._url.get_backend_name() == "sqlite")
        daft.set_runner_ray(noop_if_initialized=True)
        if daft.get_or_infer_runner_type() != "ray":
            raise UsageError(
                "Daft runs natively in this process and cannot change: ask with the runner "
                "'daft', or in a new process"
            )
        self._began = time.monotonic()

    def close(self) -> None:
        """Leave Ray running: Daft holds on to it. It ends with the process."""

    def cut(self, questions: int) -> Cut:
        """As `Workers`."""
        most = self._limits.max_calls
        bounds = [questions, self._limits.concurrency, len(_hosts(self._ray))]
        bounds += [] if most is None else [most - self._spent.calls]
        shares = max(1, min(bounds))
        worker = Elsewhere(
            model=self._model,
            ledger=self._url.render_as_string(hide_password=False),
            limits=divided(self._limits, shares, spent=self._spent, seconds=self._seconds()),
            price=self._price,
        )
        return Cut(worker, shares)

    def settle(self, reports: Sequence[Report]) -> GPAError | None:
        """As `Workers`; a share whose part is spent is dealt a new one while there is any."""
        before = self._spent.calls
        for report in reports:
            for prompt, figures in report.figures.items():
                self._counts.add(prompt, figures)
                self._spent += figures
        errors = [report.error for report in reports if report.error is not None]
        spent = [error for error in errors if isinstance(error, BudgetSpent)]
        if len(spent) < len(errors):
            return next(error for error in errors if not isinstance(error, BudgetSpent))
        return self._over(spent[0].limit, asked=self._spent.calls > before) if spent else None

    def _over(self, limit: str, *, asked: bool) -> BudgetSpent | None:
        """The end of the run where a limit is reached or what is left is too little for a call."""
        seconds = self._seconds()
        reached = used_up(self._limits, spent=self._spent, seconds=seconds)
        if asked and not reached:
            return None
        return BudgetSpent(
            reached or limit,
            calls=self._spent.calls,
            cost=self._spent.cost if self._price else None,
            seconds=seconds,
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def needed(package: str, *, at_least: tuple[int, int]) -> Any:  # noqa: ANN401 -- a module
    """Import a package of the extra ``scale``.

    Raises:
        MissingDependency: It is missing or too old.
    """
    purpose = "ask questions with the engine 'daft'"
    try:
        version = importlib.metadata.version(package)
        module = importlib.import_module(package)
    except ImportError as exc:
        raise MissingDependency(package, extra="scale", purpose=purpose) from exc
    if tuple(int(part) for part in version.split(".")[:2]) < at_least:
        newer = f"{package}>={at_least[0]}.{at_least[1]}"
        raise MissingDependency(newer, extra="scale", purpose=purpose)
    return module


def _ray(*, in_a_file: bool) -> Any:  # noqa: ANN401 -- a module that need not be installed
    """Ray, running; in this process already, where ``RAY_ADDRESS`` says, or else for us.

    Raises:
        MissingDependency: Ray is missing or too old.
        UsageError: The ledger is a file and workers are on other machines.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = needed("ray", at_least=(2, 54))  # before it, CVE-2026-27482
    here = ray.util.get_node_ip_address()
    address = os.environ.get("RAY_ADDRESS") or "local"
    if in_a_file and _host(address) not in {here, *_THIS_MACHINE}:
        raise _far_from_file(address)
    if not ray.is_initialized():
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    elsewhere = set(_hosts(ray)) - {here}
    if in_a_file and elsewhere:
        raise _far_from_file(", ".join(sorted(elsewhere)))
    return ray


def _host(address: str) -> str | None:
    return urlsplit(f"//{address.removeprefix('ray://')}").hostname


def _hosts(ray: Any) -> list[str]:  # noqa: ANN401 -- a module that need not be installed
    """Addresses of the nodes that work; several nodes may be on one machine."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    return [node["NodeManagerAddress"] for node in nodes]


def _far_from_file(where: str) -> UsageError:
    return UsageError(
        f"workers on other machines ({where}) cannot write a SQLite ledger: keep the "
        "ledger in PostgreSQL, or unset RAY_ADDRESS to work on this machine"
    )
