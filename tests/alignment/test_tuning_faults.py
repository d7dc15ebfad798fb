"""What goes wrong under the libraries comes out as an error of ours, with a remedy."""

from __future__ import annotations

import errno

import pytest

from gpa_agent.alignment.faults import mapped
from gpa_agent.errors import DataError, GPAError, ModelError, StoreError


@pytest.mark.parametrize(
    ("raised", "ours", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StoreError, "free some space"),
        (OSError(errno.EROFS, "Read-only file system"), StoreError, "Read-only"),
        (Exception("I/O error: No space left on device (os error 28)"), StoreError, "os error 28"),
        (RuntimeError("PytorchStreamWriter failed: file write failed"), StoreError, "write"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), ModelError, "batch_size"),
        (MemoryError(), ModelError, "smaller base"),
    ],
)
def test_a_full_disk_and_spent_memory_have_many_faces(
    raised: Exception, ours: type[GPAError], said: str
) -> None:
    with pytest.raises(ours, match=said) as caught, mapped("tuning 'novice'"):
        raise raised
    assert "tuning 'novice'" in str(caught.value)
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    "raised", [DataError("bad"), ValueError("ours"), FileNotFoundError(2, "x")]
)
def test_everything_else_comes_through_as_it_is(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, mapped("tuning"):
        raise raised
    assert caught.value is raised
