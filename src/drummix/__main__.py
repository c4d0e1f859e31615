"""`python -m drummix` is `drummix`."""

from drummix.cli import main

if __name__ == "__main__":
    main()
