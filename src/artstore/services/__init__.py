"""The four roles: routes and use cases, nothing else."""
