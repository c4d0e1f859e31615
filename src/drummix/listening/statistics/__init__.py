"""What can be said from ratings: the paper's own tests, and those that fit such data.

Belongs here: pure functions from scores to numbers, and the analysis that puts them together.
Does not belong here: files, figures and pages (`drummix.listening.ratings`, `figures`, `report`).

Every listener rates every system on every item, so scores of one listener are alike: what treats
them as independent finds differences that are only tastes. `published` does so, as the paper did;
all other modules take the listener, and not the rating, as what was sampled.
"""
