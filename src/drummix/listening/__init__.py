"""Listening tests with people: from mixes to ratings that nobody loses, and their statistics.

Belongs here: the study file, stimuli, the design of pages and orders, the store of everything a
listener does, the server with its page (`static/`, plain JavaScript), results in and out of other
tools, and what is computed from ratings.
Does not belong here: mixing (see `drummix.mixers`), metrics without people (`drummix.evaluation`).

The package root loads nothing: a web framework and statistics are imported where they are used.
"""
