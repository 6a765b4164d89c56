"""A whole relay blocklist: nominate, test, list, answer DNS, retest, delist."""

__version__ = "0.1.0"
