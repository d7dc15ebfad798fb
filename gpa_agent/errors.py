"""Every error the package raises on purpose, as one tree.

::

    GPAError
    ├── UsageError              you misused it: a wrong argument, an unknown group    (exit 2)
    │   └── MissingDependency   an extra is not installed; the message says which
    ├── DataError               the data is bad: file and line are named              (exit 3)
    │   └── WorkspaceError      the workspace on disk is not what it should be
    └── ServiceError            something we depend on failed; what was done is kept  (exit 4)
        ├── EngineBusy, EngineClosed, DeadlinePassed    of the engine that serves group models
        ├── StoreError          the ledger cannot be read or written (disk full, read-only, locked)
        └── ModelError          a chat model failed or misbehaved
            └── BudgetSpent     a limit of the run is reached (`gpa_agent.calls.budget`)
    BatchWaiting is a GPAError too (`gpa_agent.calls.batch`): nothing failed, results are waited for

Anything else that escapes is our bug (exit 1). A dependency's exception is mapped
to one of these at the edge, ``raise ... from exc``.
"""

from __future__ import annotations

from typing import ClassVar


class GPAError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        exit_code: What the command line exits with when this error ends it.
    """

    exit_code: ClassVar[int] = 1


class UsageError(GPAError):
    """The caller misused the package; the message says what was expected and what to do."""

    exit_code = 2


class MissingDependency(UsageError):  # noqa: N818 -- reads as the fact it reports
    """An optional dependency is not installed.

    Args:
        package: The distribution that is missing.
        extra: The extra of ``gpa-agent`` that brings it.
        purpose: What it is needed for, as the end of "... is needed to".
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package!r} is needed to {purpose} and is not installed. "
            f"Install it with: pip install 'gpa-agent[{extra}]'"
        )


class DataError(GPAError):
    """The data is bad; the message names the file, the line and the remedy."""

    exit_code = 3


class WorkspaceError(DataError):
    """The workspace on disk is not what it should be (newer version, damaged, not one)."""


class ServiceError(GPAError):
    """Something we depend on failed; what was done is kept and a rerun resumes."""

    exit_code = 4


class StoreError(ServiceError):
    """The ledger or another store cannot be read or written."""


class ModelError(ServiceError):
    """A chat model failed, or answered with what cannot be used."""
