"""The figures of a run, each kind from the records alone; ``clients.replay.metrics`` joins them."""
