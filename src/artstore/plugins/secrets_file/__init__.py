"""Keeps each secret in a file of its own."""
