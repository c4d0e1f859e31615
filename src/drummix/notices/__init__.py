"""What a person should know about a result: data for programs, and the sentences for people.

Belongs here: the codes, what a notice holds, and in `wording` what it says.
Does not belong here: finding anything out. Only what a person meets imports `wording`: the command
line, pages, reports and a notice's own text; no code reads a sentence back.
"""

from drummix.notices.notice import WARNINGS, Code, Notice, OnNotice, Severity

__all__ = ["WARNINGS", "Code", "Notice", "OnNotice", "Severity"]
