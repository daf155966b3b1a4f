"""The rooms of the scheduler, one by one."""
