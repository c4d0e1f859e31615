"""Many sessions: every folder of microphones below a folder becomes a mix.

Belongs here: finding sessions, going on where an earlier run stopped, the summary.
Does not belong here: how a session is mixed (see `drummix.mixing`), or how processes share work
(see `drummix.pool`).
"""

from drummix.batch.outcome import COLUMNS, SUMMARY_NAME, Outcome
from drummix.batch.run import Batch, Format, mix_many

__all__ = ["COLUMNS", "SUMMARY_NAME", "Batch", "Format", "Outcome", "mix_many"]
