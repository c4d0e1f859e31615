"""How far long work has come, on a terminal and in a log."""

import os
import pty
import subprocess
import sys

from drummix.cli import output

WORK = """
import time
from drummix.cli.output import shown_progress
with shown_progress() as show:
    for n_done in range(20, 30):
        show("main stage", n_done, 10_000_000)
        time.sleep(0.15)
"""


def test_a_terminal_says_days_where_more_than_one_is_left():
    # Seven steps a second: ten million take 17 days.
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", WORK], stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:  # the end of a terminal on Linux
            pass
    os.close(ours)
    assert process.returncode == 0
    assert b" days" in said


def test_a_log_says_days_where_more_than_one_is_left(monkeypatch, capsys):
    now_s = iter([0.0, 100.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(now_s))
    with output.shown_progress() as show:
        show("main stage", 0, 10_000)
        show("main stage", 1, 10_000)
    # 100 s a step, and 9,999 steps to go.
    assert capsys.readouterr().err == "main stage: 0%, about 11.6 days left\n"
