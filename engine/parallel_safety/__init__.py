"""Whether threads may share one instance of a model."""
