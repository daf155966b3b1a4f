"""The model side of a step: loading, running and sampling."""
