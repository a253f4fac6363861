"""The plugin author's kit: a contract to prove per kind of plugin, and fakes that pass them."""

# ruff: noqa: E402 - pytest explains a failed assertion only in modules named before their import.
import pytest

pytest.register_assert_rewrite("artstore.core.testing.storage")

from artstore.core.testing.storage import body, read

__all__ = [
    "body",
    "read",
]
