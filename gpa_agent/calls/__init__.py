"""Questions to a chat model, run many at a time over a ledger of paid calls.

Names load on first use: serving an app asks nothing here, and LangChain and a provider's
client are slow to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpa_agent.calls.asyncio_engine import AsyncioEngine
    from gpa_agent.calls.batch import BatchEngine, BatchWaiting
    from gpa_agent.calls.budget import Budget, BudgetSpent
    from gpa_agent.calls.cache import CallCache, asking
    from gpa_agent.calls.caller import Caller
    from gpa_agent.calls.counts import CallCounts
    from gpa_agent.calls.daft_engine import DaftEngine
    from gpa_agent.calls.engine import Answered, Engine, Flow
    from gpa_agent.calls.limits import Limits
    from gpa_agent.calls.messages import Usage
    from gpa_agent.calls.prices import Price, price_list, price_of

__all__ = [
    "Answered",
    "AsyncioEngine",
    "BatchEngine",
    "BatchWaiting",
    "Budget",
    "BudgetSpent",
    "CallCache",
    "CallCounts",
    "Caller",
    "DaftEngine",
    "Engine",
    "Flow",
    "Limits",
    "Price",
    "Usage",
    "asking",
    "price_list",
    "price_of",
]

_HOMES = {
    "Answered": "engine",
    "AsyncioEngine": "asyncio_engine",
    "BatchEngine": "batch",
    "BatchWaiting": "batch",
    "Budget": "budget",
    "BudgetSpent": "budget",
    "CallCache": "cache",
    "CallCounts": "counts",
    "Caller": "caller",
    "DaftEngine": "daft_engine",
    "Engine": "engine",
    "Flow": "engine",
    "Limits": "limits",
    "Price": "prices",
    "Usage": "messages",
    "asking": "cache",
    "price_list": "prices",
    "price_of": "prices",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a module attribute can be anything
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
