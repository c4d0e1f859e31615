"""Which microphone is this? File and channel names to roles, by rules that are one table.

Belongs here: the roles, the table of names, and how the names of one session are settled.
Does not belong here: reading files or listening to them.
"""

from drummix.roles.role import LEFT_OUT_ROLES, PAPER_ROLES, REPEATED_ROLES, Role

__all__ = ["LEFT_OUT_ROLES", "PAPER_ROLES", "REPEATED_ROLES", "Role"]
