"""The checks of `inspect` on a session that is read for something else: no file is read twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drummix.inspection.findings import level_findings, polarity_findings, twin_findings
from drummix.inspection.measuring import FileMeter
from drummix.inspection.polarity import PolarityMeter, polarity_pairs
from drummix.notices import Notice
from drummix.session import Session

_MOST_BLOCKS = 100
"""Of each pair of microphones whose polarity is judged, 0.7 s each: a mix must not wait for it."""


class SessionChecks:
    """Listens to the first whole pass over a session; see `drummix.session.SessionWatch`.

    Args:
        session: The session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pairs = polarity_pairs(session.stems)
        self._is_done = False
        self.start()

    def start(self) -> bool:
        """A pass over the session begins; whether it is to be heard."""
        if self._is_done:
            return False
        self._files: dict[str, FileMeter] = {}
        rate_hz = self._session.rate_hz
        self._polarity = PolarityMeter(rate_hz, self._pairs, most_blocks=_MOST_BLOCKS)
        return True

    def add(self, files: Mapping[str, NDArray[np.float32]], stems: NDArray[np.float32]) -> None:
        """Hear a block: the channels of each file, and the stems made of them."""
        for name, block in files.items():
            if name not in self._files:
                self._files[name] = FileMeter(self._session.rate_hz, block.shape[0])
            self._files[name].add(block)
        if self._pairs:
            self._polarity.add(stems)

    def finish(self) -> None:
        """The pass has come to the end of the session."""
        self._is_done = True

    def notices(self) -> tuple[Notice, ...]:
        """What looks wrong, once the session was heard to its end."""
        if not self._is_done:
            return ()
        measurements = {name: meter.result() for name, meter in self._files.items()}
        n_roles = Counter(stem.source for stem in self._session.stems)
        return (
            *(
                notice
                for name, measurement in measurements.items()
                for notice in level_findings(name, measurement, n_roles[name])
            ),
            *twin_findings(measurements),
            *polarity_findings(self._session.stems, self._pairs, self._polarity.scores()),
        )
