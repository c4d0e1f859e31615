"""Where training data comes from: kits, performances, the renderer, the reference engineer.

Belongs here: everything that turns licensed or open sources into stems with target mixes.
Does not belong here: anything that imports torch (see `drummix.nn`) or mixes a user's session.
"""
