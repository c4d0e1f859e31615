"""The spectral loss against auraloss, a case worked by hand, and clips that are hard on a loss."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from drummix.nn.losses import CLIP_RMS, MIN_FRAMES, RESOLUTIONS, MixLoss, stereo_mrstft  # noqa: E402

N_FRAMES = 8_000


def noise(seed: int, n_clips: int = 1) -> torch.Tensor:
    """Wide stereo noise at the level that the loss brings clips to."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(n_clips, 2, N_FRAMES, generator=generator)
    return CLIP_RMS * clips / clips.square().mean(dim=(1, 2), keepdim=True).sqrt()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_clip_has_the_distance_that_auraloss_gives(seed):
    freq = pytest.importorskip("auraloss.freq", reason="auraloss is not installed")
    sizes = [list(column) for column in zip(*RESOLUTIONS, strict=True)]
    theirs = freq.SumAndDifferenceSTFTLoss(*sizes)
    target = noise(seed)
    estimate = target + 0.3 * noise(seed + 10)
    # Single precision sums in another order.
    assert stereo_mrstft(estimate, target).item() == pytest.approx(
        theirs(estimate, target).item(), rel=1e-4
    )


@pytest.mark.parametrize("gain", [0.5, 0.9, 2.0])
def test_a_gain_costs_its_distance_from_one_plus_its_logarithm(gain):
    # Convergence is |1 - g|, the log magnitudes differ by |ln g| everywhere.
    expected = abs(1.0 - gain) + abs(np.log(gain))
    target = noise(0, n_clips=3)
    assert stereo_mrstft(gain * target, target).item() == pytest.approx(expected, rel=1e-4)


def test_equal_signals_have_no_distance_and_no_gradient():
    target = noise(0)
    estimate = target.clone().requires_grad_()
    distance = stereo_mrstft(estimate, target)
    distance.backward()
    assert distance.item() == 0.0
    assert estimate.grad.abs().max().item() == 0.0


def test_the_level_of_a_clip_does_not_matter_down_to_quiet_ones():
    # Dull noise: its treble, 60 dB and more below its bass, would sink under a fixed floor first.
    window = torch.hann_window(64)[None, None] / 32
    target, error = (
        torch.nn.functional.conv1d(noise(seed).flatten(0, 1)[:, None], window).squeeze(1)[None]
        for seed in (0, 1)
    )
    loud = stereo_mrstft(target + 0.3 * error, target).item()
    for level_db in (-30.0, -10.0, 20.0):
        gain = 10 ** (level_db / 20)
        quiet = stereo_mrstft(gain * (target + 0.3 * error), gain * target).item()
        assert quiet == pytest.approx(loud, rel=1e-3)


def test_swapped_sides_cost_as_much_as_the_difference_is_wrong():
    # The sum is right; the difference has its sign turned, which magnitudes do not show. An
    # image that is narrowed to mono shows: that is what the difference is there for.
    target = noise(0)
    mono = target.mean(dim=1, keepdim=True).expand(-1, 2, -1)
    assert stereo_mrstft(target.flip(1), target).item() == pytest.approx(0.0, abs=1e-5)
    assert stereo_mrstft(mono, target).item() > 1.0


@pytest.mark.parametrize("what", ["silent target", "silent estimate", "both silent", "mono target"])
def test_no_clip_makes_the_loss_or_its_gradient_infinite(what):
    target = noise(0, n_clips=2)
    estimate = noise(1, n_clips=2)
    if what in ("silent target", "both silent"):
        target[0] = 0.0
    if what in ("silent estimate", "both silent"):
        estimate[0] = 0.0
    if what == "mono target":
        target[:, 1] = target[:, 0]
    estimate.requires_grad_()
    parts = MixLoss(0.01)(estimate, target)
    parts["loss"].backward()
    assert torch.isfinite(parts["loss"])
    assert torch.isfinite(estimate.grad).all()


def test_a_small_error_in_a_mono_mix_stays_a_small_distance():
    target = noise(0)
    target[:, 1] = target[:, 0]
    estimate = target + 0.01 * noise(1)
    # auraloss divides by the floor of the difference, which is empty, and gets hundreds.
    freq = pytest.importorskip("auraloss.freq", reason="auraloss is not installed")
    sizes = [list(column) for column in zip(*RESOLUTIONS, strict=True)]
    assert freq.SumAndDifferenceSTFTLoss(*sizes)(estimate, target).item() > 50.0
    assert stereo_mrstft(estimate, target).item() < 5.0


def test_the_loss_is_the_weighted_sum_of_its_parts():
    target, estimate = noise(0), noise(1)
    parts = MixLoss(0.25)(estimate, target)
    l1 = (estimate - target).abs().mean().item()
    assert parts["l1"].item() == pytest.approx(l1, rel=1e-6)
    mrstft = stereo_mrstft(estimate, target).item()
    assert parts["loss"].item() == pytest.approx(l1 + 0.25 * mrstft, rel=1e-6)
    assert MixLoss()(estimate, target).keys() == {"loss", "l1"}


def test_the_shortest_clip_is_as_short_as_said():
    shortest = noise(0)[..., :MIN_FRAMES]
    assert stereo_mrstft(shortest, shortest).item() == 0.0
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):
        stereo_mrstft(shortest[..., 1:], shortest[..., 1:])
