"""Who can be talked to: personas and how they are read."""
