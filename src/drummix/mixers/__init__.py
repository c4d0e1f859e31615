"""Systems that turn a session into a stereo mix, one module a system.

Belongs here: inference. Does not belong here: training, torch, the command line.
"""
