"""The reference says what the code does."""

import subprocess
import sys
from pathlib import Path

from artstore.core.attributes import FileAttributes, Hold, Retention
from artstore.core.search import SEARCH_WINDOW, SearchCriteria
from artstore.services.storage_element.identity import Identity
from artstore.services.storage_element.lease_record import LeaseRecord
from tests.architecture.documents import pages
from tests.architecture.repository import ROOT

REFERENCE = ROOT / "docs" / "reference"


def test_the_generated_pages_are_those_that_the_code_gives(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "docs.generator", str(tmp_path)], check=True, cwd=ROOT)

    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    # When they differ: python -m docs.generator
    assert {name: (REFERENCE / name).read_text() for name in generated} == generated


def test_the_page_of_the_sidecar_has_every_field() -> None:
    fields, retention, _ = pages()["docs/reference/attr-json.md"].tables

    assert set(fields) == set(FileAttributes.model_fields)
    assert set(retention) == set(Retention.model_fields)
    assert set(Hold.model_fields) <= set(pages()["docs/reference/attr-json.md"].spans)


def test_the_page_of_the_format_has_every_field_of_lease_and_identity() -> None:
    lease, identity = pages()["docs/reference/on-disk-format.md"].tables

    assert set(lease) == set(LeaseRecord.model_fields)
    assert set(identity) == set(Identity.model_fields)


def test_the_page_of_search_has_every_criterion_and_the_window() -> None:
    page = pages()["docs/reference/search.md"]

    assert set(page.tables[1]) == set(SearchCriteria.model_fields)
    assert f"{SEARCH_WINDOW:,}".replace(",", " ") in page.path.read_text()
