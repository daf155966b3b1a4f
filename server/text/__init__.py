"""From the model's raw text to what a listener sees."""
