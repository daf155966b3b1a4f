"""What a decoder is made of, before any device."""
