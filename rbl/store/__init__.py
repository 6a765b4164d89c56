"""The only place with SQLAlchemy: tables, journal, listings, nominations, probes, receipts, keys."""
