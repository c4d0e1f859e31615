"""The paper's baseline: a random forest that sets gains, with automatic compression and reverb.

Belongs here: features of stems, the forest as arrays, and the mixers that use it.
Does not belong here: growing a forest, which needs scikit-learn and a corpus (`drummix.forest`).
"""
