"""The headers of raw uploads."""

import base64
import hashlib

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from artstore.core.http.bodies import repr_digest
from artstore.core.http.uploads import header_attributes
from artstore.core.spec import ArtStoreError, InvalidRequestError
from artstore.core.upload_attributes import UploadAttributes

DIGEST = hashlib.sha256(b"data").hexdigest()


def said(**headers: str) -> UploadAttributes:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return header_attributes(make_mocked_request("POST", "/", headers=sent))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def test_the_attributes_header_says_everything() -> None:
    attributes = UploadAttributes(
        original_filename="Отчёт.pdf", tags=["a"], content_type="application/pdf", checksum=DIGEST
    )

    assert said(Artstore_Attributes=attributes.encode_header()) == attributes


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a;b.txt"', "a;b.txt"),
        ("attachment; filename=plain.txt", "plain.txt"),
        ("attachment; filename=\"O.pdf\"; filename*=UTF-8''%D0%9E%20%F0%9F%8C%8D.pdf", "О 🌍.pdf"),
        ("attachment; filename*=iso-8859-1'en'%A3.txt", "£.txt"),
    ],
)
def test_the_name_may_come_from_the_content_disposition(disposition: str, name: str) -> None:
    assert said(Content_Disposition=disposition).original_filename == name


def test_the_type_and_the_digest_come_from_their_own_headers() -> None:
    attributes = said(
        Content_Disposition="attachment; filename=a",
        Content_Type="text/plain; charset=utf-8",
        Repr_Digest=repr_digest(DIGEST),
    )

    assert (attributes.content_type, attributes.checksum) == ("text/plain; charset=utf-8", DIGEST)


def test_the_attributes_header_has_the_last_word_on_the_type() -> None:
    header = UploadAttributes(original_filename="a", content_type="image/png").encode_header()

    assert said(Artstore_Attributes=header, Content_Type="text/plain").content_type == "image/png"


@pytest.mark.parametrize("content_type", ["application/octet-stream", ""])
def test_a_type_that_says_nothing_is_none(content_type: str) -> None:
    assert said(Content_Disposition="attachment; filename=a", Content_Type=content_type).content_type is None


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({}, "original_filename"),
        ({"Content_Disposition": "attachment"}, "original_filename"),
        ({"Content_Disposition": 'attachment; filename="../a"'}, "original_filename"),
        ({"Content_Disposition": "attachment; filename*=UTF-8''%ff"}, "original_filename"),
        ({"Content_Disposition": "attachment; filename*=nonsense''%41"}, "original_filename"),
        ({"Content_Disposition": "attachment; filename*=a"}, "original_filename"),
        ({"Artstore_Attributes": "ä"}, "Artstore-Attributes"),
        ({"Artstore_Attributes": encoded("{}")}, "original_filename"),
        ({"Artstore_Attributes": encoded('{"original_filename": "a", "tag": []}')}, "tag"),
        ({"Content_Disposition": "attachment; filename=a", "Content_Type": "pdf"}, "Content-Type"),
        ({"Content_Disposition": "attachment; filename=a", "Repr_Digest": "sha-256=:x:"}, "Repr-Digest"),
    ],
)
def test_a_wrong_header_is_named(headers: dict[str, str], path: str) -> None:
    with pytest.raises(InvalidRequestError) as failure:
        said(**headers)

    assert [name for name, _ in failure.value.errors] == [path]


def test_two_digests_that_differ_are_refused() -> None:
    header = UploadAttributes(original_filename="a", checksum=DIGEST).encode_header()

    with pytest.raises(InvalidRequestError, match="another digest"):
        said(Artstore_Attributes=header, Repr_Digest=repr_digest("0" * 64))


def test_an_attributes_header_over_its_limit_is_too_large() -> None:
    with pytest.raises(ArtStoreError, match="larger than the limit"):
        said(Artstore_Attributes="a" * 8193)


@pytest.mark.parametrize("headers", [{"Content_Range": "bytes 0-3/8"}, {"Content_Encoding": "gzip"}])
def test_a_body_that_is_not_the_file_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises((InvalidRequestError, web.HTTPUnsupportedMediaType)):
        said(Content_Disposition="attachment; filename=a", **headers)
