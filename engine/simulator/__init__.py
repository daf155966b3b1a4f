"""The real deciding rooms on a clock that is computed: no model, no waiting."""
