"""Reads secrets that Kubernetes mounts into the container."""
