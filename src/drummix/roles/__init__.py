"""Which microphone is this? File and channel names to roles, by rules that are one table.

Belongs here: the roles, the table of names, and how the names of one session are settled.
Does not belong here: reading files or listening to them.
"""

from drummix.roles.casting import Candidate, Casting, Part, cast, parse_role
from drummix.roles.naming import Guess, identify, identify_all
from drummix.roles.role import LEFT_OUT_ROLES, PAPER_ROLES, REPEATED_ROLES, Role
from drummix.roles.rules import RULES, SPELLINGS, Family, Rule

__all__ = [
    "LEFT_OUT_ROLES",
    "PAPER_ROLES",
    "REPEATED_ROLES",
    "RULES",
    "SPELLINGS",
    "Candidate",
    "Casting",
    "Family",
    "Guess",
    "Part",
    "Role",
    "Rule",
    "cast",
    "identify",
    "identify_all",
    "parse_role",
]
