"""What is in a session, file by file, and what looks wrong; nothing is changed.

Belongs here: measuring files and saying what a person would want to know before mixing.
Does not belong here: repairing anything, or printing.
"""

from drummix.inspection.checks import SessionChecks
from drummix.inspection.inspecting import inspect_session
from drummix.inspection.report import FileReport

__all__ = ["FileReport", "SessionChecks", "inspect_session"]
