"""What reads text locally in a workspace: the encoder, and the small classifiers over it.

Loaded when first asked for, once, by whichever thread comes first; dropped when something was
trained or forgotten.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gpa_agent.embedding.remembering import RememberingEncoder
from gpa_agent.settings import Settings

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
        self._loading = threading.RLock()
        self._reader: SatisfactionReader | None = None
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
        with self._loading:
            if self._reader is None:
                from gpa_agent.learning.teaching import kept_reader  # noqa: PLC0415 -- loads weights
                from gpa_agent.understanding.satisfaction import (  # noqa: PLC0415 -- as above
                    EmbeddedSatisfaction,
                )

                kept = kept_reader(self.folder, self.encoder())
                self._reader = kept or EmbeddedSatisfaction(self.encoder())
            return self._reader

    def labelling(self) -> Labelling:
        """Who labels intents and groups."""
        with self._loading:
            if self._labelling is None:
                from gpa_agent.learning.labelling import Labelling  # noqa: PLC0415 -- loads models

                self._labelling = Labelling(self.folder, self._settings, self.encoder)
            return self._labelling

    def renew(self) -> None:
        """Take the reader of satisfaction that is taught now; a run of learning has ended."""
        with self._loading:
            self._reader = None

    def drop(self) -> None:
        """Forget everything that was trained; what is on disk then is loaded when asked for."""
        with self._loading:
            self._reader = self._labelling = None
