"""Names on disk are safe, fit every file system, and say what they were made from."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artstore.core.naming import MAX_NAME_SIZE, SIDECAR_SUFFIX, parse, storage_name

TIME = datetime(2026, 11, 22, 15, 3, 14, 999999, tzinfo=UTC)
FILE_ID = UUID("0197b2c4-5d6e-7f80-9a1b-2c3d4e5f6071")
TAIL = f"_ingester_20261122T150314_{FILE_ID}"
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029]')

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=500) | st.text(
    st.sampled_from('ab._ -<>:"/\\|?*\n\0яé\u0306漢👩\u200d'), max_size=500
)
SAFE_TEXT = st.text("abcя漢👩 -()№", min_size=1, max_size=15).filter(lambda text: text == text.strip())
TIMES = st.datetimes(timezones=st.just(UTC))


def filename_of(original: str, *, username: str = "ingester") -> str:
    return storage_name(original, username=username, created_at=TIME, file_id=FILE_ID).filename


# --- properties ---


@given(original=ANY_TEXT, username=ANY_TEXT, created_at=TIMES, file_id=st.uuids())
@example(original=f"a{TAIL}.pdf", username=f"b{TAIL}", created_at=TIME, file_id=FILE_ID)
@example(original=f"a.b{TAIL}", username="u_v", created_at=TIME, file_id=FILE_ID)
def test_every_name_says_its_file_and_its_time(
    original: str, username: str, created_at: datetime, file_id: UUID
) -> None:
    name = storage_name(original, username=username, created_at=created_at, file_id=file_id)

    parsed = parse(name.filename)

    assert parsed is not None
    assert parsed.file_id == file_id
    assert parsed.created_at == created_at.replace(microsecond=0)


@given(original=ANY_TEXT, username=ANY_TEXT)
@example(original="я" * 500, username="я" * 500)
@example(original="a." + "👩" * 300, username="")
@example(original="." * 500, username="_" * 500)
def test_every_name_is_safe_on_every_file_system(original: str, username: str) -> None:
    filename = filename_of(original, username=username)

    assert len(f"{filename}{SIDECAR_SUFFIX}".encode()) <= MAX_NAME_SIZE
    assert not UNSAFE.search(filename)
    assert not filename.startswith(".")
    assert "__" not in filename
    assert unicodedata.is_normalized("NFC", filename)


@given(stem=SAFE_TEXT, username=SAFE_TEXT, extension=st.sampled_from(["", ".pdf", ".7z", ".документ"]))
def test_safe_short_names_come_back_whole(stem: str, username: str, extension: str) -> None:
    parsed = parse(filename_of(f"{stem}{extension}", username=username))

    assert parsed is not None
    assert (parsed.stem, parsed.username, parsed.extension) == (stem, username, extension)


# --- examples ---


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("report.pdf", f"report{TAIL}.pdf"),
        ("Отчёт за год.pdf", f"Отчёт за год{TAIL}.pdf"),
        ("数据📊.csv", f"数据📊{TAIL}.csv"),
        ("archive.tar.gz", f"archive.tar{TAIL}.gz"),
        ("README", f"README{TAIL}"),
        ("", TAIL),
        ("???", TAIL),
        (".pdf", f"_pdf{TAIL}"),
        ("..hidden.txt", f"_hidden{TAIL}.txt"),
        ("...", TAIL),
        ("name.", f"name{TAIL}"),
        ("name. ", f"name{TAIL}"),
        ('a<>:"b|?*c.txt', f"a_b_c{TAIL}.txt"),
        ("a___b_.txt", f"a_b{TAIL}.txt"),
        ("../etc/passwd", f"_etc_passwd{TAIL}"),
        ("a.t/x?t", f"a{TAIL}.t_x_t"),
        ("и\u0306.txt", f"й{TAIL}.txt"),
    ],
)
def test_names_look_as_a_person_expects(original: str, expected: str) -> None:
    assert filename_of(original) == expected


@pytest.mark.parametrize("original", ["я" * 500 + ".pdf", "👩‍👩‍👧‍👦" * 99 + ".pdf", "x" * 500 + ".pdf"])
def test_a_long_stem_is_cut_at_a_character_and_the_rest_is_kept(original: str) -> None:
    filename = filename_of(original)

    size = len(f"{filename}{SIDECAR_SUFFIX}".encode())
    assert filename.endswith(f"{TAIL}.pdf")
    assert original.startswith(filename.removesuffix(f"{TAIL}.pdf"))
    assert MAX_NAME_SIZE - 4 < size <= MAX_NAME_SIZE


def test_a_long_extension_is_cut_too() -> None:
    assert filename_of("report." + "x" * 300) == f"report{TAIL}." + "x" * 32


def test_a_user_name_cannot_pretend_to_be_part_of_the_stem() -> None:
    filename = filename_of("a_b.txt", username="night_shift/2")

    parsed = parse(filename)

    assert parsed is not None
    assert (parsed.stem, parsed.username) == ("a_b", "night-shift-2")


def test_the_directory_is_the_hour_of_creation_in_utc() -> None:
    moscow = timezone(timedelta(hours=3))
    created_at = datetime(2026, 1, 1, 2, 30, tzinfo=moscow)

    name = storage_name("a.txt", username="u", created_at=created_at, file_id=FILE_ID)

    assert name.directory == "2025/12/31/23"
    assert name.filename == f"a_u_20251231T233000_{FILE_ID}.txt"


def test_data_and_sidecar_lie_side_by_side() -> None:
    name = storage_name("a.txt", username="u", created_at=TIME, file_id=FILE_ID)

    assert name.key == f"2026/11/22/15/{name.filename}"
    assert name.sidecar_key == f"{name.key}.attr.json"


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "report.pdf",
        f"a_u_20261122T150314_{FILE_ID}.pdf.part/x"[:-20],
        f"a_u_20261322T150314_{FILE_ID}.pdf",
        f"a_u_20261122T250314_{FILE_ID}.pdf",
        f"a_u_٢٠٢٦1122T150314_{FILE_ID}.pdf",
        f"a_u_20261122T150314_{str(FILE_ID).upper()}.pdf",
        f"a_u_20261122T150314_{FILE_ID}pdf",
        f"u_20261122T150314_{FILE_ID}.pdf",
        "ARTSTORE.md",
        "element.json",
    ],
)
def test_a_foreign_name_is_not_parsed(filename: str) -> None:
    assert parse(filename) is None
