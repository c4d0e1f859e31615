"""Pure signal processing on float32 arrays of shape (channels, samples).

Belongs here: effects a mixing engineer would name (pan, EQ, gate, compressor, limiter, plate).
Does not belong here: reading files, choosing settings, anything that knows about sessions.
"""
