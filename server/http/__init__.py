"""The HTTP rooms: chat completions, lists, health, metrics, the live view and the page."""
