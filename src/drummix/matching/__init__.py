"""A mix learned from one example: from stems and the mix they became to a style.

Belongs here: finding how mix and stems lie to each other, learning filters and bus, checking a
style on other songs. Does not belong here: the equations (see `drummix.effects.reverse`), mixing
with a style (see `drummix.mixers.style_mixer`), or talking to a person.
"""

from drummix.matching.checking import StyleCheck, check_style
from drummix.matching.picture import draw_style
from drummix.matching.run import Match, match

__all__ = ["Match", "StyleCheck", "check_style", "draw_style", "match"]
