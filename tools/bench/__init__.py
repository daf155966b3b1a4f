"""Kaiwa beside its peers, on the same weights and prompts: `kaiwa bench engine` and `server`."""
