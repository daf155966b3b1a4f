"""The engine: batches every live sequence together; knows no server, client or socket."""
