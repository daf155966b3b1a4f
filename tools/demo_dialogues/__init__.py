"""The dialogue world from which Kaiwa's demo character model is trained."""
