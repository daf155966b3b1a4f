"""The five ways to serve one trace."""
