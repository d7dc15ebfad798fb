"""Group models (GPA-FT): pairs, tuning, the gate before serving, and serving.

``pairs`` makes contrastive pairs of judged answers (Algorithm 4), ``tuning`` an adapter of each
group's (Algorithm 3), ``gating`` refuses what is not better, ``serving`` answers (Algorithm 5).
Importing this loads none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpa_agent.alignment.config import TuningConfig
    from gpa_agent.alignment.gating.verdict import GateConfig, Verdict
    from gpa_agent.alignment.pairs.config import PairsConfig
    from gpa_agent.alignment.pairs.making import make_pairs
    from gpa_agent.alignment.serving.group_models import GroupModels
    from gpa_agent.alignment.serving.local import LocalEngine
    from gpa_agent.alignment.serving.local_chat import ChatLocal
    from gpa_agent.alignment.tuning.tuning import TuneReport, tune

__all__ = [
    "ChatLocal",
    "GateConfig",
    "GroupModels",
    "LocalEngine",
    "PairsConfig",
    "TuneReport",
    "TuningConfig",
    "Verdict",
    "make_pairs",
    "tune",
]

_HOMES = {
    "ChatLocal": "serving.local_chat",
    "GateConfig": "gating.verdict",
    "GroupModels": "serving.group_models",
    "LocalEngine": "serving.local",
    "PairsConfig": "pairs.config",
    "TuneReport": "tuning.tuning",
    "TuningConfig": "config",
    "Verdict": "gating.verdict",
    "make_pairs": "pairs.making",
    "tune": "tuning.tuning",
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
