"""Everything that imports torch: the network, training clips, training, export.

Mixing a session never needs this package; it runs from `drummix.mixers` without torch.
"""
