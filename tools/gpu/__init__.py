"""What only a GPU can tell, part by part: `tools/gpu_check.sh`."""
