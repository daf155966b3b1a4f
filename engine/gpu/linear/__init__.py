"""Products with weights, whole or in fewer bits."""
