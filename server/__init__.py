"""The server: sessions, characters and the wire; knows the engine by four verbs only."""
