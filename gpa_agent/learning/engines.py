"""Which engine learns: the one the settings ask for, or the last one, asking nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpa_agent.learning.finding import model_of
from gpa_agent.learning.local import LocalReaders
from gpa_agent.ledger import Ledger
from gpa_agent.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.learning.finding import Finder, Shuffler
    from gpa_agent.learning.spending import Spend


def chosen_engine(
    settings: Settings,
    ledger: Ledger,
    readers: LocalReaders,
    *,
    model: BaseChatModel | None = None,
    spend: Spend | None = None,
) -> Shuffler:
    """The engine that the settings ask for.

    Args:
        settings: With a model's name or without.
        ledger: Where the model's calls are kept.
        readers: The workspace's local readers.
        model: The chat model itself, where one was given.
        spend: What it may cost; no limits where None.

    Raises:
        UsageError: The model cannot be opened.
    """
    if settings.model is None:
        from gpa_agent.learning.embedded import Embedded  # noqa: PLC0415 -- keeps serving light

        return Embedded(readers.satisfaction(), readers.labelling())
    from gpa_agent.learning.modelled import Modelled  # noqa: PLC0415 -- keeps serving light
    from gpa_agent.learning.spending import Spend, open_engine  # noqa: PLC0415 -- as above

    return Modelled(
        model=settings.model,
        opened=open_engine(settings, ledger, model, spend or Spend()),
        folder=readers.folder,
        labelling=readers.labelling(),
        reader=readers.satisfaction,
        encoder=readers.encoder,
    )


def recalling_engine(settings: Settings, ledger: Ledger, readers: LocalReaders) -> Finder:
    """The engine of the last run, asking nobody: a model's claims are weighed as they are.

    Args:
        settings: The workspace's.
        ledger: Learned from before.
        readers: The workspace's local readers.
    """
    model = model_of(str(ledger.last_summary().get("engine", "")))
    if model is None:
        from gpa_agent.learning.embedded import Embedded  # noqa: PLC0415 -- keeps serving light

        return Embedded(readers.satisfaction(), readers.labelling())
    from gpa_agent.learning.kept_claims import Recalled  # noqa: PLC0415 -- as above
    from gpa_agent.learning.model_labels import (  # noqa: PLC0415 -- as above
        taught_kinds,
        versions_of,
    )

    taught = taught_kinds(settings, versions_of(model, settings))
    return Recalled(model, labelling=readers.labelling(), taught=taught)
