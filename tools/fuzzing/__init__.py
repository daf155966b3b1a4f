"""Made-up input, and what reads it; for ``tools.fuzz``."""
