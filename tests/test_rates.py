"""The same session at another sample rate gives the same mix, as far as resampling allows."""

import numpy as np
import pytest

from drummix.audio import Audio, resample
from drummix.mixing import mix
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100


def kit(seconds=3.0):
    """Strokes of noise below 18 kHz, which every rate has, too quiet to be turned down."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    stems = np.zeros((len(PAPER_ROLES), time_s.size))
    for at_s in np.arange(0.1, seconds - 0.4, 0.25):
        since = np.maximum(time_s - at_s, 0.0)
        level = rng.uniform(0.002, 0.04, (len(PAPER_ROLES), 1))
        envelope = level * np.exp(-25 * since) * (1 - np.exp(-1000 * since))
        stems += envelope * rng.standard_normal(stems.shape)
    return resample(resample(stems, RATE_HZ, 40_000), 40_000, RATE_HZ)


def mixed(stems, rate_hz, system):
    session = {
        role.value: Audio(stem[np.newaxis], rate_hz)
        for role, stem in zip(PAPER_ROLES, resample(stems, RATE_HZ, rate_hz), strict=True)
    }
    return resample(mix(session, system=system).audio.samples, rate_hz, RATE_HZ)


@pytest.mark.parametrize("rate_hz", [48_000, 88_200, 96_000])
@pytest.mark.parametrize(
    ("system", "most_db"),
    [("unity", -90.0), ("anchor", -50.0), ("waveunet-dry", -50.0), ("waveunet-wet", -50.0)],
)
def test_a_mix_below_10_khz_does_not_depend_on_the_rate_of_the_session(system, most_db, rate_hz):
    stems = kit()
    wanted, found = (np.fft.rfft(mixed(stems, hz, system)) for hz in (RATE_HZ, rate_hz))
    audible = np.fft.rfftfreq(stems.shape[1], 1 / RATE_HZ) < 10_000
    error, whole = (np.square(np.abs(x[:, audible])).sum() for x in (found - wanted, wanted))
    assert 10 * np.log10(error / whole) < most_db
