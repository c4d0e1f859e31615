"""A network taught by a producer's own sessions and mixes, from the weights that it has.

Belongs here: which mix belongs to which session, checking and preparing them, what is held out, the
decision whether anything was gained, and the model that comes of it. Does not belong here: how
mix and stems are aligned (`drummix.matching`), the training loop (`drummix.nn`), metrics
(`drummix.evaluation`), or talking to a person.
"""

from drummix.finetuning.run import FineTuned, describe, finetune

__all__ = ["FineTuned", "describe", "finetune"]
