"""Measurements of the gateway: the server without its engine, under faults and load."""
