"""People as the ledger knows them: a keyed hash of the host app's user id.

A plain hash of a short id can be undone by trying all ids; a keyed one cannot without the
workspace's key. BLAKE2b takes the key natively (RFC 7693), so no HMAC construction is needed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from gpa_agent.errors import UsageError

KEY_BYTES: Final = range(16, 65)
"""How long a people key may be: at least 128 bits, at most what BLAKE2b takes."""


def person_hash(raw: str, *, key: bytes) -> str:
    """Hash a raw user id.

    Args:
        raw: The id in the host app.
        key: The workspace's secret, 16 to 64 bytes.

    Returns:
        32 hexadecimal digits (128 bits); the same for the same id and key.

    Raises:
        UsageError: The key is too short or too long.

    Example:
        >>> person_hash("user-17", key=b"k" * 32)
        '18d2505cffbdfcea918262da6a632490'
    """
    if len(key) not in KEY_BYTES:
        raise UsageError(
            f"a people key has 16 to 64 bytes, this one has {len(key)}; "
            "make one with secrets.token_bytes(32)"
        )
    return blake2b(
        raw.encode("utf-8", "surrogatepass"), key=key, digest_size=16, person=b"gpa-person"
    ).hexdigest()
