"""Run the command line: ``rbl``, and python -m rbl."""

from typing import NoReturn

from rbl.cli import garbage, main


def run() -> NoReturn:
    """Run the command line in a process of its own."""
    garbage.look_rarely()
    main()


if __name__ == "__main__":
    run()
