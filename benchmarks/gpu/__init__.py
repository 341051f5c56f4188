"""The checks of gpu_check.py, one file each, and what they share."""
