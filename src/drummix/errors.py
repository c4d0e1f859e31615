"""The exception tree: everything a user can get wrong ends in one of these.

A message is one line that says what is wrong (with the file and the value), what was
expected, and what to do next. The command line prints it and exits with status 1;
anything that is not a `DrummixError` is our own bug and keeps its traceback.
"""


class DrummixError(Exception):
    """Base of all errors raised on purpose by drummix."""


class AudioFileError(DrummixError):
    """A sound file cannot be read, or holds something that cannot be mixed."""


class SessionError(DrummixError):
    """A set of stems does not make a session."""


class NoMicrophoneError(SessionError):
    """A folder of sound files holds no microphone of a drum kit: mixes, clicks and the like."""


class RoleError(SessionError):
    """A stem's microphone role is unknown, ambiguous or claimed twice."""


class SettingError(DrummixError):
    """An option or a configuration value is out of range or unknown."""


class OutputError(DrummixError):
    """A result cannot be written where it was asked for."""


class WeightsError(DrummixError):
    """A model's weights are missing, damaged or of another architecture."""


class CorpusError(DrummixError):
    """A kit, a performance or a rendered corpus is missing, damaged or inconsistent."""


class TrainingError(DrummixError):
    """Training cannot start or go on."""


class MissingExtraError(DrummixError):
    """An optional part of drummix is not installed.

    Args:
        what: What was asked for, in the user's words.
        extra: The extra that brings it, as in ``pip install 'drummix[train]'``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part; run: pip install 'drummix[{extra}]'")
