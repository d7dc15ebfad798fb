"""How much of one person is waited for: nobody fills the queue, or has it emptied all the time.

A window that slides over the times of a person's own events, kept in memory: recording has no
time for a count over a person's history, and the next process may well begin anew. So the limit
holds in each process, and in each for so many people as were there last.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

PER_HOUR: Final = 120
"""Events of one person in an hour that are waited for: a turn or a thumb every 30 seconds."""
PEOPLE: Final = 4096
"""People whose events are counted; those longest silent are forgotten first."""

_HOUR_SECONDS: Final = 3600.0


class Pace:
    """Tells whose events come too fast; safe to share between threads."""

    def __init__(self) -> None:
        self._lately = OrderedDict[str, deque[float]]()
        self._counting = Lock()

    def admits(self, person: str | None, at: datetime) -> bool:
        """Whether an event is waited for; if so it is counted.

        Args:
            person: Keyed hash of the person; nobody's events are not limited.
            at: When it happened. Only distances count, so that what is replayed out of its order
                is not held up by what lies ahead of it.
        """
        if person is None:
            return True
        moment = at.timestamp()
        with self._counting:
            lately = self._lately.setdefault(person, deque(maxlen=PER_HOUR))
            self._lately.move_to_end(person)
            if len(self._lately) > PEOPLE:
                self._lately.popitem(last=False)
            if len(lately) == PER_HOUR and abs(moment - lately[0]) < _HOUR_SECONDS:
                return False
            lately.append(moment)
            return True
