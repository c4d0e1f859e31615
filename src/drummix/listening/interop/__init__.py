"""Results and study files of other listening-test tools.

Belongs here: a module a tool, each with what it reads and writes, and what its format cannot hold.
Does not belong here: the tidy table itself (`drummix.listening.ratings`).

No tool's code is used, only its published formats:
`webmushra` webMUSHRA 1.4 (results `mushra.csv`, study YAML); `waet` Web Audio Evaluation Tool 1.2
(results XML, study XML); `beaqle` BeaqleJS 1.0 (results as JSON in a text file).
"""
