"""A file's media type is found from its first bytes and its name."""

import io
import random
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from artstore.core.attribute_fields import MediaType
from artstore.core.content_type import HEAD_SIZE, sniff


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64)
DOCX = zip_of("[Content_Types].xml", "word/document.xml")
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
NOISE = random.Random(7).randbytes(HEAD_SIZE)


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        (PNG, "a.png", "image/png"),
        (PNG, "a", "image/png"),
        (JPEG, "photo", "image/jpeg"),
        (PDF, "отчёт.PDF", "application/pdf"),
        (PDF, "scan", "application/pdf"),
        (b"%PDF-1.4 only text so far", "scan", "application/pdf"),
        (DOCX, "a.docx", WORD),
        (zip_of("a"), "a.odt", "application/vnd.oasis.opendocument.text"),
        (zip_of("a"), "a", "application/zip"),
        (zip_of("a"), "a.unheardof", "application/zip"),
        (OLE, "a.doc", "application/msword"),
        (OLE, "a", "application/x-ole-storage"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a", "image/webp"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "a.tar.gz", "application/gzip"),
        (b"ISc(\0\1\0\0", "a", "application/vnd.ms-cab-compressed"),
        (b"MSCF\0\0\0\0", "a.cab", "application/vnd.ms-cab-compressed"),
    ],
)
def test_known_formats_are_recognised(head: bytes, filename: str, expected: str) -> None:
    assert sniff(head, filename) == expected


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        (b"plain words", "README", "text/plain; charset=utf-8"),
        ("слова".encode(), "a.txt", "text/plain; charset=utf-8"),
        ("# слова".encode(), "a.md", "text/markdown; charset=utf-8"),
        (b"export let a = 1\n", "a.mjs", "text/javascript; charset=utf-8"),
        (b"Words\n=====\n", "a.rst", "text/x-rst; charset=utf-8"),
        (b"{\\rtf1 words}", "a.rtf", "application/rtf"),
        (b"a,b\n1,2\n", "a.csv", "text/csv; charset=utf-8"),
        (b"<!DOCTYPE html><html>", "a.html", "text/html; charset=utf-8"),
        (b"import os\n", "a.py", "text/x-python; charset=utf-8"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "a.svg", "image/svg+xml"),
        (b"BMW is a car, MZ was a motorcycle", "notes", "text/plain; charset=utf-8"),
    ],
)
def test_text_is_recognised_by_its_characters_and_named_by_its_name(
    head: bytes, filename: str, expected: str
) -> None:
    assert sniff(head, filename) == expected


def test_a_character_cut_by_the_end_of_the_head_is_still_text() -> None:
    head = ("я" * HEAD_SIZE).encode()[: HEAD_SIZE - 1]

    assert sniff(head, "a.txt") == "text/plain; charset=utf-8"


def test_only_the_head_is_looked_at() -> None:
    assert sniff(b"x" * HEAD_SIZE + b"\0\xff", "a.txt") == "text/plain; charset=utf-8"


def test_no_charset_is_claimed_for_text_in_another_encoding() -> None:
    assert sniff("Привет".encode("cp1251"), "a.txt") == "text/plain"


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        (PNG, "a.pdf", "image/png"),
        (b"plain words", "a.pdf", "text/plain; charset=utf-8"),
        (PDF, "a.png", "application/pdf"),
    ],
)
def test_bytes_that_contradict_the_name_win(head: bytes, filename: str, expected: str) -> None:
    assert sniff(head, filename) == expected


@pytest.mark.parametrize("head", [b"BM\xff\xfe\0\1", b"\x7fELF\2\1\1\0"])
def test_a_signature_too_short_or_without_a_type_is_not_believed(head: bytes) -> None:
    assert sniff(head, "a") == "application/octet-stream"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [("a.mp3", "audio/mpeg"), ("a", "application/octet-stream"), ("a.unheardof", "application/octet-stream")],
)
def test_bytes_that_say_nothing_leave_it_to_the_name(filename: str, expected: str) -> None:
    assert sniff(NOISE, filename) == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [("a.txt", "text/plain; charset=utf-8"), ("a.pdf", "application/pdf"), ("a", "application/octet-stream")],
)
def test_an_empty_file_has_the_type_of_its_name(filename: str, expected: str) -> None:
    assert sniff(b"", filename) == expected


SIGNATURES = st.sampled_from([PNG, JPEG, PDF, DOCX, OLE, b"RIFF", b"\x7fELF", b"MZ", b"BM", b"ftyp", b""])


@given(
    signature=SIGNATURES,
    rest=st.binary(max_size=600),
    extension=st.sampled_from(["", ".", ".pdf", ".cab", ".exe", ".db"]),
)
def test_the_answer_is_always_a_legal_media_type(signature: bytes, rest: bytes, extension: str) -> None:
    media_type = sniff(signature + rest, f"a{extension}")

    assert TypeAdapter(MediaType).validate_python(media_type) == media_type


def test_the_first_call_inside_an_event_loop_reads_no_file() -> None:
    """In a process of its own: here the tables have long been read."""
    program = (
        "import asyncio, sys\n"
        "from artstore.core.content_type import sniff\n"
        "def refuse(event, arguments):\n"
        "    if event in ('open', 'import'): raise RuntimeError(f'{event} {arguments}')\n"
        "async def main():\n"
        "    sys.addaudithook(refuse)\n"
        "    print(sniff(bytes.fromhex('89504e470d0a1a0a0000'), 'a'), sniff(b'x', 'a.csv'))\n"
        "asyncio.run(main())\n"
    )

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (finished.stdout, finished.stderr) == ("image/png text/csv; charset=utf-8\n", "")
