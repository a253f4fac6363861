"""HTTP as every role speaks it: operations, problems, authentication, health, OpenAPI."""
