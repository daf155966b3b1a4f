"""The browser page, driven by a real browser."""
