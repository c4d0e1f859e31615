"""What training makes small: mean absolute error, and the distance of spectra in stereo.

In: estimate and target, float (batch, 2, frames). Out: one number for the batch, differentiable.
Source: L1 after Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021. Multi-resolution STFT
after Yamamoto, Song and Kim, ICASSP 2020, on sum and difference of left and right after
Steinmetz, Pons, Pascual and Serra, ICASSP 2021, with the sizes and the formula of auraloss 0.4
(its `SumAndDifferenceSTFTLoss`). Three differences from auraloss, so that quiet and nearly mono
clips do no harm:

* each clip is brought to one level first, by the RMS of its target;
* spectral convergence is a ratio clip by clip, where auraloss divides over the whole batch and a
  quiet clip counts for nothing;
* it divides by no less than `LEAST_SHARE` of the louder of sum and difference: the difference of
  a nearly mono mix is next to nothing, and a ratio to it would be all there is to the loss.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""(transform, hop, window) in samples: auraloss's defaults."""

MIN_FRAMES = 1 + max(fft for fft, _, _ in RESOLUTIONS) // 2
"""Shortest clip whose ends can be mirrored by half a frame."""

CLIP_RMS = 0.1
"""RMS that each clip's target is brought to before its spectrum is taken."""

LEAST_RMS = 10 ** (-70 / 20)
"""Clips below -70 dBFS are raised no further than one of that level: silence stays silent."""

LEAST_SHARE = 10 ** (-30 / 20)
"""Least norm of a sum's or difference's spectrum, as a share of the louder of the two."""

_LEAST_POWER = 1e-8


class MixLoss(nn.Module):
    """The loss of a training run and its parts.

    Args:
        mrstft_weight: What the STFT distance is multiplied by; 0.0 for L1 alone.
    """

    def __init__(self, mrstft_weight: float = 0.0) -> None:
        super().__init__()
        self.mrstft_weight = mrstft_weight

    def forward(self, estimate: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Parts of the loss by name, and ``loss``, their weighted sum."""
        estimate, target = estimate.float(), target.float()
        l1 = functional.l1_loss(estimate, target)
        if not self.mrstft_weight:
            return {"loss": l1, "l1": l1}
        mrstft = stereo_mrstft(estimate, target)
        return {"loss": l1 + self.mrstft_weight * mrstft, "l1": l1, "mrstft": mrstft}


def stereo_mrstft(estimate: Tensor, target: Tensor) -> Tensor:
    """Multi-resolution STFT distance of sum and difference, the mean over a batch.

    Args:
        estimate: (batch, 2, frames), at least `MIN_FRAMES` frames.
        target: The same shape.

    Returns:
        A scalar: 0.0 for equal signals, about 1.2 for an estimate at half the level.
    """
    level = target.square().mean(dim=(1, 2), keepdim=True).sqrt()
    gain = CLIP_RMS / level.clamp_min(LEAST_RMS)
    ours, theirs = _sum_and_difference(estimate * gain), _sum_and_difference(target * gain)
    distances = [_stft_distance(ours, theirs, *sizes) for sizes in RESOLUTIONS]
    return torch.stack(distances).mean()


def _sum_and_difference(stereo: Tensor) -> Tensor:
    left, right = stereo.unbind(1)
    return torch.stack([left + right, left - right], dim=1)


def _stft_distance(estimate: Tensor, target: Tensor, n_fft: int, hop: int, n_window: int) -> Tensor:
    """Spectral convergence plus the mean difference of log magnitudes, of (batch, 2, frames)."""
    ours = _magnitudes(estimate, n_fft, hop, n_window)
    theirs = _magnitudes(target, n_fft, hop, n_window)
    error = torch.linalg.vector_norm(theirs - ours, dim=(2, 3))
    norms = torch.linalg.vector_norm(theirs, dim=(2, 3))
    norms = torch.maximum(norms, LEAST_SHARE * norms.amax(dim=1, keepdim=True))
    return (error / norms).mean() + functional.l1_loss(ours.log(), theirs.log())


def _magnitudes(signals: Tensor, n_fft: int, hop: int, n_window: int) -> Tensor:
    """Magnitudes (batch, 2, bins, frames), never below the square root of `_LEAST_POWER`."""
    window = torch.hann_window(n_window, device=signals.device, dtype=signals.dtype)
    spectra = torch.stft(
        signals.flatten(0, 1), n_fft, hop, n_window, window, return_complex=True
    ).unflatten(0, signals.shape[:2])
    power = spectra.real.square() + spectra.imag.square()
    return power.clamp_min(_LEAST_POWER).sqrt()
