"""Where conversations are kept when nobody is connected."""
