"""drummix mixes the microphone tracks of a drum kit into a finished stereo mix.

    import drummix
    mix = drummix.mix("takes")
    mix.save("mix.wav")

Everything here is loaded when it is first used: `import drummix` itself is quick and loads none
of torch, numba or matplotlib.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drummix.audio import Audio, read, write
    from drummix.errors import DrummixError
    from drummix.matching import Match, check_style, draw_style, match
    from drummix.mixers.registry import System, systems
    from drummix.mixers.style import Style, read_style
    from drummix.mixing import Mix, MixedFile, mix, mix_to_file
    from drummix.roles import Role
    from drummix.session import Session, Stem, open_session

__all__ = [
    "Audio",
    "DrummixError",
    "Match",
    "Mix",
    "MixedFile",
    "Role",
    "Session",
    "Stem",
    "Style",
    "System",
    "__version__",
    "check_style",
    "draw_style",
    "match",
    "mix",
    "mix_to_file",
    "open_session",
    "read",
    "read_style",
    "systems",
    "write",
]

_HOMES = {
    "Audio": "drummix.audio",
    "DrummixError": "drummix.errors",
    "Match": "drummix.matching",
    "Mix": "drummix.mixing",
    "MixedFile": "drummix.mixing",
    "Role": "drummix.roles",
    "Session": "drummix.session",
    "Stem": "drummix.session",
    "Style": "drummix.mixers.style",
    "System": "drummix.mixers.registry",
    "check_style": "drummix.matching",
    "draw_style": "drummix.matching",
    "match": "drummix.matching",
    "mix": "drummix.mixing",
    "mix_to_file": "drummix.mixing",
    "open_session": "drummix.session",
    "read": "drummix.audio",
    "read_style": "drummix.mixers.style",
    "systems": "drummix.mixers.registry",
    "write": "drummix.audio",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("drummix")
    if name not in _HOMES:
        raise AttributeError(f"module 'drummix' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
