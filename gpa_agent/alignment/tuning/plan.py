"""What is to be done for one group."""

from __future__ import annotations

from dataclasses import dataclass

from gpa_agent.alignment.manifest import Data, people_digest
from gpa_agent.alignment.pair import Pair


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done for one group."""

    group: str
    train: list[Pair]
    """Every pair that may be trained on."""
    held_out: list[Pair]
    """Pairs kept for the gate."""
    inputs: str
    """Digest of base, pairs, configuration and the groups there are."""
    looks: int
    """How often the gate looked at the same held-out people before."""

    @property
    def people(self) -> set[str]:
        """Those whose words are trained on."""
        return {pair.person for pair in self.train if pair.person is not None}

    def data(self, rows_sha256: str, *, looks: int) -> Data:
        """What the manifest says of the data.

        Args:
            rows_sha256: Of the rows trained on.
            looks: Checkpoints that the gate has examined on the held-out people, those before too.
        """
        return Data(
            sha256=rows_sha256,
            pairs=len(self.train),
            held_out=len(self.held_out),
            held_out_sha256=people_digest(self.held_out),
            looks=looks - self.looks,
        )
