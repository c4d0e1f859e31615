"""Programs that try to break drummix with what no user would write: bounded in time, seeded.

Here belongs one module for each kind of input from outside, run as ``python -m fuzz.text_files
--seconds 20 --seed 1``. Each makes damaged input from good one, gives it to drummix, and takes two
outcomes: a value, or one `DrummixError` of one line within a few seconds. Anything else is a
finding, which is printed with what repeats it, and the exit status is 1. Tests of what the right
outcome is belong to ``tests/``; a finding, once mended, becomes one there.
"""
