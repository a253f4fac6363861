"""Storage back end ``memory``: objects that last as long as the process."""
