"""Where a run's clips come from: corpora on disk, or sessions rendered as they are needed."""

from __future__ import annotations

from collections.abc import Callable

from drummix.corpus.plan import CORPUS_RATE_HZ
from drummix.errors import CorpusError
from drummix.nn.clips import ClipSource, Source
from drummix.nn.config import TrainSettings
from drummix.nn.live_clips import LiveKits, LiveSource

PARTS = ("train", "validation")


def clip_sources(
    settings: TrainSettings, *, rate_hz: int, notice: Callable[[str], None] | None = None
) -> dict[str, Source]:
    """The sources of a run: part -> what its clips are cut from.

    Args:
        settings: The run's settings, with `corpora` or `live`.
        rate_hz: Sample rate in Hz that the network is trained at.
        notice: Told what a person should know of the corpora, once.

    Raises:
        CorpusError: If a corpus, a kit or the dataset is missing, or is at another rate.
    """
    live = settings.live
    if live is None:
        return {
            part: ClipSource.from_corpora(
                settings.corpora,
                part,
                target=settings.target,
                config=settings.network,
                settings=settings.clips,
                rate_hz=rate_hz,
                notice=notice,
            )
            for part in PARTS
        }
    if rate_hz != CORPUS_RATE_HZ:
        raise CorpusError(f"sessions are rendered at {CORPUS_RATE_HZ} Hz, not at {rate_hz} Hz")
    kits = LiveKits()
    for kit in live.kits:
        # Now, so that a damaged kit is found at once and processes that are forked share it.
        loaded = kits[kit]
        if notice is not None:
            for line in loaded.notices:
                notice(f"{loaded.name}: {line}")
    return {
        part: LiveSource(
            live,
            part,
            target=settings.target,
            config=settings.network,
            settings=settings.clips,
            seed=settings.seed,
            kits=kits,
        )
        for part in PARTS
    }
