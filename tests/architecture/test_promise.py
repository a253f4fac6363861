"""The promise names tests that exist, so that it cannot claim what nothing proves."""

import ast
from pathlib import Path

import pytest

from tests.architecture.documents import pages
from tests.architecture.repository import ROOT

NAMED = [span for span in pages()["docs/explanation/promise.md"].spans if "::" in span]


def test_the_promise_names_tests() -> None:
    assert len(NAMED) > 10


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_the_promise_names_exists(named: str) -> None:
    module, *names = named.split("::")

    assert _has_test(ROOT / module, names)


def _has_test(module: Path, names: list[str]) -> bool:
    """A function, or a method within its class."""
    body = ast.parse(module.read_text()).body
    for name in names:
        found = [node for node in body if getattr(node, "name", None) == name]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return names[-1].startswith("test_")
