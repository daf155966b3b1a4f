"""The kernels for a GPU, and models on them."""
