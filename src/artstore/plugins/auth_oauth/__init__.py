"""Verifies the access tokens of one OAuth 2.0 issuer."""
