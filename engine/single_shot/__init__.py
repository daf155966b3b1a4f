"""Models that answer a whole request at once (classifiers, embedders): shared out, or batched."""
