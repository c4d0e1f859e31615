"""Size and geometry of a Wave-U-Net, shared by training (torch) and mixing (no torch).

Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, Table 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from drummix.errors import PlainDataError, SettingError
from drummix.plain_data import Within, check_fields, convert

MAX_PARAMETERS = 100_000_000
"""Sixteen times the paper's network; its weights are 400 MB."""


@dataclass(frozen=True)
class WaveUNetConfig:
    """Size of a Wave-U-Net; the defaults are the paper's.

    Args:
        n_inputs: Microphone channels K.
        n_outputs: Channels of the mix.
        levels: Downsampling blocks L.
        filters: Filters F_c of the first level; level i has ``filters * i``.
        down_taps: Kernel length f_d of the downsampling blocks and the bottleneck (odd).
        up_taps: Kernel length f_u of the upsampling blocks; only 5 is supported.
        leaky_slope: Slope of the LeakyReLU for negative values.

    Raises:
        SettingError: If a size is out of range, or all of them make a network that is too large.
    """

    n_inputs: Annotated[int, Within(1, 256)] = 8
    n_outputs: Annotated[int, Within(1, 256)] = 2
    levels: Annotated[int, Within(1, 16)] = 10
    filters: Annotated[int, Within(1, 1024)] = 24
    down_taps: Annotated[int, Within(3, 255)] = 15
    up_taps: Literal[5] = 5
    leaky_slope: Annotated[float, Within(0.0, 1.0, is_below=True)] = 0.2

    def __post_init__(self) -> None:
        check_fields(self)
        if self.down_taps % 2 == 0:
            raise SettingError("down_taps", self.down_taps, "expected an odd number")
        if self.n_parameters() > MAX_PARAMETERS:
            raise SettingError(
                "levels",
                self.levels,
                f"expected at most {MAX_PARAMETERS:,} parameters",
                problem=f"is {self.levels}, which with {self.filters} filters and "
                f"{self.down_taps} taps makes {self.n_parameters():,} parameters",
            )

    def down_shapes(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each downsampling convolution, first level first."""
        widths = [self.n_inputs, *(self.filters * i for i in range(1, self.levels + 1))]
        return list(itertools.pairwise(widths))

    def bottleneck_shape(self) -> tuple[int, int]:
        """(inputs, outputs) of the convolution at the lowest rate."""
        return self.filters * self.levels, self.filters * (self.levels + 1)

    def up_shapes(self) -> list[tuple[int, int, int]]:
        """(skip inputs, inputs from below, outputs) of each upsampling block, deepest first."""
        return [
            (self.filters * i, self.filters * (i + 1), self.filters * i)
            for i in range(self.levels, 0, -1)
        ]

    def output_shape(self) -> tuple[int, int]:
        """(inputs, outputs) of the last convolution: the stems themselves, then the features."""
        return self.n_inputs + self.filters, self.n_outputs

    def n_parameters(self) -> int:
        """Number of trainable parameters (6,183,450 for the paper's size)."""
        count = 0
        for n_in, n_out in [*self.down_shapes(), self.bottleneck_shape()]:
            count += (n_in * self.down_taps + 1) * n_out
        for n_skip, n_below, n_out in self.up_shapes():
            count += ((n_skip + n_below) * self.up_taps + 1) * n_out
        n_in, n_out = self.output_shape()
        return count + (n_in + 1) * n_out

    @property
    def decimation(self) -> int:
        """Frames at the audio rate per frame at the lowest rate: 2 to the power of `levels`."""
        return 1 << self.levels

    def input_frames(self, bottleneck_frames: int) -> int:
        """Input length that leaves `bottleneck_frames` (92 in the paper) after the bottleneck."""
        context = self.down_taps - 1
        return self.decimation * (bottleneck_frames + context) + (context - 1) * (
            self.decimation - 1
        )

    def output_frames(self, input_frames: int) -> int:
        """Output length for an input length made by `input_frames`.

        Raises:
            SettingError: If no whole number of bottleneck frames has that input length.
        """
        bottleneck_frames = self.bottleneck_frames(input_frames)
        return self.decimation * bottleneck_frames - self.up_taps * (self.decimation - 1)

    def bottleneck_frames(self, input_frames: int) -> int:
        """Frames after the bottleneck for an input length (inverse of `input_frames`).

        Raises:
            SettingError: If no whole number of bottleneck frames has that input length.
        """
        smallest = self.min_bottleneck_frames
        frames, rest = divmod(input_frames - self.input_frames(0), self.decimation)
        if rest or frames < smallest:
            raise SettingError(
                "input_frames",
                input_frames,
                f"a {self.levels}-level Wave-U-Net takes {self.input_frames(smallest)} or a "
                f"multiple of {self.decimation} more",
            )
        return frames

    @property
    def min_bottleneck_frames(self) -> int:
        """Fewest bottleneck frames that leave an output frame: five shrink to one."""
        return self.up_taps

    @property
    def context_frames(self) -> int:
        """Frames of input context on each side of the output (16,375 for the paper's size)."""
        longest = self.input_frames(self.min_bottleneck_frames)
        return (longest - self.output_frames(longest)) // 2

    def skip_margin(self, depth: int) -> int:
        """Frames that each end of a skip connection loses: the same for every input length.

        Args:
            depth: Upsampling block, counted from the deepest, which is 0.
        """
        up_frames = bottleneck_frames = self.min_bottleneck_frames
        for _ in range(depth):
            up_frames = 2 * up_frames - self.up_taps
        # From the bottleneck upwards, what each level's convolution gave before decimation.
        skip_frames = bottleneck_frames + self.down_taps - 1
        for _ in range(depth):
            skip_frames = 2 * skip_frames - 1 + self.down_taps - 1
        return skip_frames - up_frames

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> WaveUNetConfig:
        """Build a config from plain data.

        Raises:
            SettingError: If a name is unknown, or a value is of another type or out of range.
        """
        return convert(values, cls, error=PlainDataError, name="the network")

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for `model.json`, read back by `from_mapping`."""
        return asdict(self)


PAPER_BOTTLENECK_FRAMES = 92
