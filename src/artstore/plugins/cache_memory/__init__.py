"""Keeps cached values in the memory of this process."""
