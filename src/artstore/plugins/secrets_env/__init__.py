"""Reads secrets from environment variables."""
