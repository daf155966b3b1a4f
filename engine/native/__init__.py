"""Kernels in C++ for processors: built on the machine that runs them, called through ctypes."""
