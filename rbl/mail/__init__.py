"""Mail coming in: tests that return, and what a nominated message proves."""
