"""README, promise and threat model name tests that exist, so that they cannot claim what nothing proves."""

import ast
from pathlib import Path

import pytest

from tests.architecture.documents import pages
from tests.architecture.repository import ROOT

CLAIMING = ("README.md", "docs/explanation/promise.md", "THREAT_MODEL.md")
NAMED = sorted({span for name in CLAIMING for span in pages()[name].spans if "::" in span})
MEASURES = [
    line
    for section in (ROOT / "THREAT_MODEL.md").read_text().split("\n## ")
    for line in section.splitlines()
    if line.startswith("| ") and "| measure | test |" in section and "| measure | test |" not in line
]


def test_tests_are_named() -> None:
    assert len(NAMED) > 100
    assert len(MEASURES) > 30


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_against_a_threat_names_its_test(measure: str) -> None:
    assert "::test_" in measure.rstrip(" |").rpartition("|")[2]


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_exists(named: str) -> None:
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
