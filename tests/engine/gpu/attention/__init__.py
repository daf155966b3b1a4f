"""The GPU's work, planned without one."""
