"""`python -m drummix` and `drummix`: the command line, with Ctrl-C in order at once."""

import signal


def main() -> None:
    """Run the command line and exit."""
    # While modules load, Ctrl-C ends the process as it ends any other program: without a traceback.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from drummix.cli import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
