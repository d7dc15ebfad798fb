"""What reads text locally in a workspace: the encoder, and the small classifiers over it.

Loaded when first asked for, once, by whichever thread comes first; from then on replaced when
another is kept, whoever trained it or took it away.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpa_agent.embedding.remembering import RememberingEncoder
from gpa_agent.learning.own_lock import OwnLock
from gpa_agent.ledger.rows import LabelKind
from gpa_agent.settings import Settings
from gpa_agent.understanding.storage import kept_mark

if TYPE_CHECKING:
    from gpa_agent.embedding import TextEncoder
    from gpa_agent.learning.labelling import Labelling
    from gpa_agent.understanding.protocols import SatisfactionReader


class LocalReaders:
    """The local readers of one workspace; safe to use from several threads.

    Args:
        folder: Where trained classifiers are kept.
        settings: Taxonomy, groups and confidences.
        encoder: Sentence encoder to use instead of the one that is found.
    """

    def __init__(
        self, folder: Path, settings: Settings, encoder: TextEncoder | None = None
    ) -> None:
        self.folder = folder
        self._settings = settings
        self._encoder = encoder
        self._loading = OwnLock()
        self._reader: SatisfactionReader | None = None
        self._reader_mark: str | None = None
        self._labelling: Labelling | None = None

    def encoder(self) -> TextEncoder:
        """The sentence encoder, found once."""
        with self._loading:
            if self._encoder is None:
                from gpa_agent.embedding import find_encoder  # noqa: PLC0415 -- loads a model

                self._encoder = find_encoder()
            if not isinstance(self._encoder, RememberingEncoder):
                self._encoder = RememberingEncoder(self._encoder)
            return self._encoder

    def satisfaction(self) -> SatisfactionReader:
        """The reader of satisfaction: one that a model taught, else the shipped one."""
        from gpa_agent.learning.teaching import KEPT, kept_reader  # noqa: PLC0415 -- loads weights
        from gpa_agent.understanding.satisfaction import (  # noqa: PLC0415 -- as above
            EmbeddedSatisfaction,
        )

        with self._loading:
            mark = kept_mark(self.folder / KEPT)
            if self._reader is None or mark != self._reader_mark:
                kept = kept_reader(self.folder, self.encoder())
                self._reader = kept or EmbeddedSatisfaction(self.encoder())
                self._reader_mark = mark
            return self._reader

    def labelling(self) -> Labelling:
        """Who labels intents and groups."""
        if self._labelling is None:
            from gpa_agent.learning.labelling import Labelling  # noqa: PLC0415 -- loads models

            with self._loading:
                self._labelling = self._labelling or Labelling(
                    self.folder, self._settings, self.encoder
                )
        return self._labelling

    def is_loaded(self, kind: LabelKind) -> bool:
        """Whether the classifier of intents or groups is in memory."""
        return self._labelling is not None and self._labelling.is_loaded(kind)

    def follow(self) -> None:
        """Replace what is in memory by what is kept now; what nobody asked for stays unloaded.

        Raises:
            StoreError: It cannot be told what is kept.
        """
        if self._labelling is not None:
            self._labelling.follow()
        if self._reader is not None:
            self.satisfaction()
