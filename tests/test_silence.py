"""Silence before and behind the music changes nothing in the mix of any system."""

import numpy as np
import pytest

from drummix.audio import Audio
from drummix.levels import FromFirstSound, gain_to_db
from drummix.mixers.first_sound import run_from_first_sound
from drummix.mixing import mix
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100
SYSTEMS = ("waveunet-dry", "waveunet-wet", "forest-dry", "forest-wet", "anchor", "unity")


def kit(rate_hz, seconds=3.0):
    """Strokes of noise in eight microphones, the first after a tenth of a second of silence."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    stems = np.zeros((len(PAPER_ROLES), time_s.size))
    for at_s in np.arange(0.1, seconds - 0.4, 0.25):
        since = time_s - at_s
        decay = np.where(since > 0, np.exp(-25 * np.maximum(since, 0)), 0.0)
        level = rng.uniform(0.02, 0.4, (len(PAPER_ROLES), 1))
        stems += level * decay * rng.standard_normal(stems.shape)
    return stems.astype(np.float32)


def mixed(stems, rate_hz, system):
    session = {
        role.value: Audio(stem[np.newaxis], rate_hz)
        for role, stem in zip(PAPER_ROLES, stems, strict=True)
    }
    return mix(session, system=system).audio.samples


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("rate_hz", "before", "behind"),
    [(44_100, 220_500, 0), (44_100, 0, 220_500), (44_100, 7, 12_345), (48_000, 240_000, 240_000)],
)
def test_silence_before_or_behind_leaves_the_mix_as_it_is(system, rate_hz, before, behind):
    stems = kit(rate_hz)
    short = mixed(stems, rate_hz, system)
    long = mixed(np.pad(stems, ((0, 0), (before, behind))), rate_hz, system)
    moved = long[:, before : before + short.shape[1]]
    difference = float(np.sqrt(np.mean((moved - short) ** 2.0) / np.mean(short**2.0)))
    # Rounding, which depends on how the stream is cut into hops and resampled.
    assert gain_to_db(difference) < -95.0


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
@pytest.mark.parametrize("n_silent", [0, 1, 5, 8, 100, 1000])
def test_a_network_hears_the_first_sound_on_a_multiple_of_its_step(block, n_silent):
    samples = np.zeros((2, 1000), np.float32)
    samples[:, n_silent:] = np.random.default_rng(0).uniform(0.1, 1.0, (2, 1000 - n_silent))
    heard = []

    def run(blocks, n_samples):
        for piece in blocks:
            heard.append(piece)
            yield piece
        assert sum(piece.shape[1] for piece in heard) == n_samples

    blocks = iter([samples[:, start : start + block] for start in range(0, 1000, block)])
    out = list(run_from_first_sound(run, blocks, 1000, n_inputs=2, step=8))
    np.testing.assert_array_equal(np.concatenate(out, axis=1), samples)
    sounds = np.flatnonzero(np.concatenate(heard, axis=1).any(axis=0))
    assert not sounds.size or sounds[0] % 8 == 0


def test_a_network_hears_nothing_of_an_empty_stream():
    assert not list(run_from_first_sound(lambda blocks, n: blocks, iter(()), 0, n_inputs=2, step=8))


@pytest.mark.parametrize("block", [1, 3, 10])
def test_a_stream_begins_with_its_first_sound(block):
    samples = np.array([[0.0, 0.0, 1e-4, 0.0, 0.5, 0.0, 0.3, 0.0, 0.0, 0.0]], np.float32)
    for silence, first in ((0.0, 2), (1e-3, 4), (0.6, 10)):
        begun = FromFirstSound(silence)
        pieces = [begun.process(samples[:, at : at + block]) for at in range(0, 10, block)]
        np.testing.assert_array_equal(np.concatenate(pieces, axis=1), samples[:, first:])
