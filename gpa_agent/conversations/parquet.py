"""Rows of a Parquet file as plain objects, a few hundred at a time (needs pyarrow)."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

from gpa_agent.errors import DataError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"PAR1"
BATCH_ROWS: Final = 256


def read_rows(stream: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
    """Read the rows in order.

    Args:
        stream: An open, seekable file.
        name: What to call it in messages.

    Raises:
        MissingDependency: pyarrow is not installed.
        DataError: The file is damaged or cannot be sought in (a pipe).
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 -- heavy, and rarely needed
        import pyarrow.parquet as pq  # noqa: PLC0415 -- heavy, and rarely needed
    except ImportError as exc:
        raise MissingDependency("pyarrow", extra="parquet", purpose="read Parquet files") from exc
    if not stream.seekable():
        raise DataError(
            f"{name}: Parquet cannot be read from a pipe; save it to a file and give its path"
        )
    stream.seek(0)
    row = 0
    try:
        with pq.ParquetFile(stream) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for record in batch.to_pylist():
                    row += 1
                    yield record
    except (pa.ArrowException, OSError) as exc:
        raise DataError(
            f"{name}:{row + 1}: the Parquet data is damaged or cut short ({exc}); "
            "copy or download the file again"
        ) from exc
