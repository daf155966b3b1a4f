"""Character cards: every format in and out, nothing lost, nothing believed."""
