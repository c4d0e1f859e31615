"""What mixes and how: the part of a mix that does not depend on its session, level or files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drummix.errors import Parameter, SettingError
from drummix.mixers.base import Mixer
from drummix.mixers.compute import Compute
from drummix.mixers.registry import DEFAULT_SYSTEM, MixerOptions, make_mixer
from drummix.notices import Notice

if TYPE_CHECKING:
    from drummix.mixers.style import Style
    from drummix.mixers.style_mixer import Levels


@dataclass(frozen=True)
class MixOptions:
    """The choice of a mixer, as `drummix.mix` takes it.

    Args:
        system: Name of the system.
        as_recorded: Leave the stems' levels alone before the network.
        paper_segments: Cut the session as the paper does, instead of seamlessly.
        weights: Folder of a model to use in place of the shipped one.
        style: A style, or its file, to mix with in place of a system.
        match_levels: Bring the stems to the levels of the style's example.
        compute: Threads and memory of a network; None for the default.
    """

    system: str = DEFAULT_SYSTEM
    as_recorded: bool = False
    paper_segments: bool = False
    weights: Path | str | None = None
    style: Style | Path | str | None = None
    match_levels: bool = False
    compute: Compute | None = None

    def make_mixer(self) -> tuple[Mixer, tuple[Notice, ...]]:
        """The mixer, for any number of sessions, and what a person should know about the choice.

        Raises:
            SettingError: If options contradict each other or mean nothing to the system.
            WeightsError: If the model is missing or damaged.
        """
        if self.style is not None:
            return self._style_mixer(self.style), ()
        if self.match_levels:
            raise SettingError(
                "match_levels",
                True,
                "give ",
                Parameter("style"),
                problem="brings stems to the levels of a style",
            )
        weights = None if self.weights is None else Path(self.weights)
        options = MixerOptions(weights, self.as_recorded, self.paper_segments, self.compute)
        return make_mixer(self.system, options)

    def _style_mixer(self, style: Style | Path | str) -> Mixer:
        from drummix.mixers.style import Style, read_style
        from drummix.mixers.style_mixer import StyleMixer

        for parameter, value in (
            ("system", None if self.system == DEFAULT_SYSTEM else self.system),
            ("weights", self.weights),
            ("paper_segments", self.paper_segments or None),
            *(self.compute.given() if self.compute else {}).items(),
        ):
            if value is not None:
                why = "means nothing to a style, which is no network"
                raise SettingError(parameter, value, "leave it out", problem=why)
        if self.as_recorded and self.match_levels:
            expected = (Parameter("match_levels"), " contradicts it: give one of them")
            raise SettingError("as_recorded", True, *expected)
        levels: Levels = (
            "as_recorded" if self.as_recorded else "match" if self.match_levels else "auto"
        )
        known = style if isinstance(style, Style) else read_style(style)
        return StyleMixer(known, levels=levels)
