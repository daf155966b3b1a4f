"""Text as a voice takes it: segments, how long they last, and the mouth's shapes."""
