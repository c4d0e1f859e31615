"""Pictures of sessions and mixes, as PNG; no display is needed.

Belongs here: everything that draws waveforms, spectrograms and hits.
Does not belong here: mixing, measuring, reading a session's roles. The plotting library is loaded
inside functions.
"""

from drummix.picture.session import draw_session, envelope

__all__ = ["draw_session", "envelope"]
