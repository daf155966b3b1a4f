"""Wire logs: what is written of sessions whose users agreed, so that they can be replayed."""
