"""Run the command line: python -m rbl."""

from rbl.cli import main

if __name__ == "__main__":
    main()
