"""Where a run's clips come from: corpora on disk, or sessions rendered as they are needed."""

from __future__ import annotations

from dataclasses import replace

from drummix.corpus.plan import CORPUS_RATE_HZ
from drummix.errors import CorpusError
from drummix.nn.clips import ClipSource, Source
from drummix.nn.config import TrainSettings
from drummix.nn.live_clips import LiveKits, LiveSource
from drummix.notices import OnNotice

PARTS = ("train", "validation")


def clip_sources(
    settings: TrainSettings, *, rate_hz: int, on_notice: OnNotice | None = None
) -> dict[str, Source]:
    """The sources of a run: part -> what its clips are cut from.

    Args:
        settings: The run's settings, with `corpora` or `live`.
        rate_hz: Sample rate in Hz that the network is trained at.
        on_notice: Called with what a person should know of the corpora, once.

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
                on_notice=on_notice,
            )
            for part in PARTS
        }
    if rate_hz != CORPUS_RATE_HZ:
        raise CorpusError(f"sessions are rendered at {CORPUS_RATE_HZ} Hz, not at {rate_hz} Hz")
    kits = LiveKits()
    for kit in live.kits:
        # Now, so that a damaged kit is found at once and processes that are forked share it.
        loaded = kits[kit]
        if on_notice is not None:
            for notice in loaded.notices:
                on_notice(replace(notice, within=loaded.name))
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
