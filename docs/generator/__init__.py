"""Writes the pages of `docs/reference` that code knows better than people do."""
