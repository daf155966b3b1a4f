"""From an accepted connection to a driven session, and out again through bounded buffers."""
