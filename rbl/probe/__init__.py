"""The relay test: which envelopes, one SMTP dialogue, the verdict, the runner."""
