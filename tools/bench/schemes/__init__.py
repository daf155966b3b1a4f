"""One arrival trace through five ways of serving it: `kaiwa bench --policy`."""
