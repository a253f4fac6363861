"""Tutorials and how-to guides work as they are written."""

from pathlib import Path
from typing import Final

import pytest

from tests.architecture.documents import Page, pages
from tests.architecture.walkthrough import matches, walkthrough

GUIDES: Final = {
    name: page
    for name, page in pages().items()
    if name.startswith(("README.md", "docs/tutorial/", "docs/how-to/")) and page.console()
}


@pytest.mark.parametrize("page", GUIDES.values(), ids=list(GUIDES))
def test_a_guide_works_as_it_is_written(page: Page, tmp_path: Path) -> None:
    with walkthrough(tmp_path) as somebody:
        somebody.follow(page)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("", ""),
        ("id    name\n1 of 1\n", "id name   \n1 of 1\n"),
        ("…\n", "anything\nat all\n"),
        ("…\nlast\n", "last\n"),
        ("se-01:…, done\n", "se-01:17, done\n"),
    ],
)
def test_output_that_a_page_shows_is_recognised(expected: str, printed: str) -> None:
    assert matches(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("", "surprise\n"),
        ("stored 2 files\n", "stored 3 files\n"),
        ("a…\n", "b\n"),
        ("…\nlast\n", "last\nmore\n"),
    ],
)
def test_other_output_is_noticed(expected: str, printed: str) -> None:
    assert not matches(expected, printed)
