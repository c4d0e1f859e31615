"""The Wave-U-Net of the paper: eight drum microphones in, a stereo mix out, no padding anywhere.

In: float32 (batch, 8, input frames). Out: (batch, 2, output frames), the centre of the input.
Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, Fig. 1 and Table 1. Table 1 prints
119 frames after the bottleneck; every other number in it fits only 92, which is what this gives.

Two identities make a step cheaper without changing the result (checked to 1e-6 by the tests):

* Upsampling by two (midpoints) followed by a five-tap convolution equals two short convolutions at
  the low rate, one for the even and one for the odd output frames, interleaved.
* A convolution over concatenated feature maps is the sum of a convolution over each, so the skip
  connection and the upsampled map keep their own kernels and nothing is concatenated.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from drummix.mixers.architecture import WaveUNetConfig


class WaveUNet(nn.Module):
    """Wave-U-Net with input context and a linear output layer.

    Args:
        config: Size of the network; the default is the paper's (6,183,450 parameters).
        generator: Source of the Glorot-uniform draws of the kernels; biases start at zero.
    """

    def __init__(
        self, config: WaveUNetConfig | None = None, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config if config is not None else WaveUNetConfig()
        self.down = nn.ModuleList(
            nn.Conv1d(n_in, n_out, self.config.down_taps)
            for n_in, n_out in self.config.down_shapes()
        )
        self.bottleneck = nn.Conv1d(*self.config.bottleneck_shape(), self.config.down_taps)
        self.up = nn.ModuleList(
            nn.Conv1d(n_skip + n_below, n_out, self.config.up_taps)
            for n_skip, n_below, n_out in self.config.up_shapes()
        )
        self.output = nn.Conv1d(*self.config.output_shape(), 1)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, stems: Tensor) -> Tensor:
        """Mix a batch of stem segments.

        Args:
            stems: (batch, inputs, frames), full scale 1.0; `frames` must be a length that
                `WaveUNetConfig.input_frames` gives.

        Returns:
            (batch, 2, `WaveUNetConfig.output_frames(frames)`), not limited to full scale.

        Raises:
            SettingError: If `frames` does not fit the network's geometry.
        """
        self.config.output_frames(stems.shape[-1])
        slope = self.config.leaky_slope
        # Feature maps are (batch, channels, 1, frames) in channels-last order: on a CPU the
        # 2-D kernels are about a third faster forward than the 1-D ones, with the same result.
        stems = _channels_last(stems.unsqueeze(2))
        features = stems
        skips: list[Tensor] = []
        for convolution in self.down:
            features = functional.leaky_relu(_convolve(features, convolution), slope)
            skips.append(features)
            features = _channels_last(features[..., ::2])
        features = functional.leaky_relu(_convolve(features, self.bottleneck), slope)
        for convolution in self.up:
            below = upsample_and_convolve(features, skips.pop(), convolution)
            features = functional.leaky_relu(below, slope)
        n_stems = self.config.n_inputs
        weight, bias = self.output.weight, self.output.bias
        # In full precision also where the features are 16-bit: here the mix itself is summed.
        with torch.autocast(stems.device.type, enabled=False):
            cropped, features = centre_crop(stems, features.shape[-1]), features.to(weight.dtype)
            mix = _convolve_kernel(cropped.to(weight.dtype), weight[:, :n_stems], bias)
            return (mix + _convolve_kernel(features, weight[:, n_stems:])).squeeze(2)


def centre_crop(longer: Tensor, frames: int) -> Tensor:
    """Cut the same number of frames from both ends of `longer` so that `frames` are left."""
    margin = longer.shape[-1] - frames
    assert margin >= 0, "a skip connection is shorter than what it joins"
    assert margin % 2 == 0, "crops are by an even number of frames"
    return longer[..., margin // 2 : longer.shape[-1] - margin // 2]


def upsample_and_convolve(below: Tensor, skip: Tensor, convolution: nn.Module) -> Tensor:
    """Convolve [cropped skip, upsampled `below`] without computing the upsampled map.

    Args:
        below: (batch, n_below, 1, N), the map to upsample to 2N - 1 frames.
        skip: (batch, n_skip, 1, at least 2N - 1), output of the downsampling block of this level.
        convolution: Five-tap 1-D convolution over the n_skip + n_below channels in that order.

    Returns:
        (batch, n_out, 1, 2N - 5).
    """
    kernel, bias = cast(Tensor, convolution.weight), cast(Tensor, convolution.bias)
    n_skip = skip.shape[1]
    cropped = centre_crop(skip, 2 * below.shape[-1] - 1)
    from_skip = _convolve_kernel(cropped, kernel[:, :n_skip], bias)
    even = _convolve_kernel(below, even_kernel(kernel[:, n_skip:]))
    odd = _convolve_kernel(below, odd_kernel(kernel[:, n_skip:]))
    # There is one even output more than odd ones; interleaving in channels-last order is a copy
    # of whole rows of channels.
    pairs = torch.stack(
        [even.permute(0, 2, 3, 1), functional.pad(odd, (0, 1)).permute(0, 2, 3, 1)], dim=3
    )
    interleaved = pairs.flatten(2, 3)[:, :, :-1].permute(0, 3, 1, 2)
    return from_skip + interleaved


def even_kernel(kernel: Tensor) -> Tensor:
    """Low-rate kernel (out, in, 3) of the even outputs of upsampling then `kernel` (out, in, 5)."""
    a, b, c, d, e = kernel.unbind(-1)
    return torch.stack([a + b / 2, b / 2 + c + d / 2, d / 2 + e], dim=-1)


def odd_kernel(kernel: Tensor) -> Tensor:
    """Low-rate kernel (out, in, 4) of the odd outputs of upsampling then `kernel` (out, in, 5)."""
    a, b, c, d, e = kernel.unbind(-1)
    return torch.stack([a / 2, a / 2 + b + c / 2, c / 2 + d + e / 2, e / 2], dim=-1)


def _channels_last(features: Tensor) -> Tensor:
    return features.contiguous(memory_format=torch.channels_last)


def _convolve(features: Tensor, convolution: nn.Module) -> Tensor:
    return _convolve_kernel(
        features, cast(Tensor, convolution.weight), cast(Tensor, convolution.bias)
    )


def _convolve_kernel(features: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.conv2d(features, _channels_last(kernel.unsqueeze(2)), bias)
