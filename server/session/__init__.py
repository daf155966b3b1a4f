"""One client's session: events in, effects out."""
