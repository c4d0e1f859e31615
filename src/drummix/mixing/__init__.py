"""From a folder of microphones to a finished mix, in memory or straight into a file.

Belongs here: running a mixer over a session, the level of the result, and writing it.
Does not belong here: how a mix is made (see `drummix.mixers`), or talking to a person.
"""

from drummix.mixing.level import DEFAULT_CEILING_DBTP, OutputLevel
from drummix.mixing.options import MixOptions
from drummix.mixing.run import Mix, MixedFile, mix, mix_to_file, write_mix

__all__ = [
    "DEFAULT_CEILING_DBTP",
    "Mix",
    "MixOptions",
    "MixedFile",
    "OutputLevel",
    "mix",
    "mix_to_file",
    "write_mix",
]
