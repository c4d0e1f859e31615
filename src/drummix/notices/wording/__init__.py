"""The sentences: what notices and verdicts say to a person, in one place.

Plain English made of codes and values, with parameters as their reader types them.
"""

from drummix.notices.wording.book import Line, lines, sentence, to_plain

__all__ = ["Line", "lines", "sentence", "to_plain"]
