"""What is uploaded: heads of requests that say of a file what an application would."""

from collections.abc import Iterator
from typing import Final

from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from benchmarks.client import Request, request_head
from benchmarks.deployment import Deployment
from benchmarks.workplace import MIB

INGESTER_PATH: Final = "/api/v1/files"
_CONTENT_TYPE: Final = "application/pdf"
_ATTRIBUTES: Final = UploadAttributes(
    original_filename="Договор поставки 2026-114.pdf",
    content_type=_CONTENT_TYPE,
    description="Подписанный экземпляр, signed copy",
    tags=["договор", "2026", "signed"],
    custom_attributes={"case": "A-17", "amount": 1250000.5},
).encode_header()


def ingester_upload(token: str, *, size: int) -> Request:
    """The raw fast path; the server makes the id."""
    return _upload("POST", INGESTER_PATH, token, size)


def element_upload(token: str, *, size: int) -> Request:
    """The same, straight into the element, which wants an id."""
    return _upload("PUT", "/api/v1/files/{id}/content", token, size)


def stored_file(deployment: Deployment, *, token: str, size: int) -> str:
    """The id of a new file, which is indexed."""
    answer = deployment.ask(
        "ingester",
        "POST",
        INGESTER_PATH,
        body=_filling(size),
        headers={
            "Content-Length": str(size),
            "Authorization": f"Bearer {token}",
            "Content-Type": _CONTENT_TYPE,
            ATTRIBUTES_HEADER: _ATTRIBUTES,
        },
    )
    return str(answer["file_id"])


def download(file_id: str, token: str) -> Request:
    """All of a file, from the element or through query: both have it at this path."""
    return Request(request_head("GET", f"/api/v1/files/{file_id}/download", token=token))


def _filling(size: int) -> Iterator[bytes]:
    for start in range(0, size, MIB):
        yield bytes(min(MIB, size - start))


def _upload(method: str, path: str, token: str, size: int) -> Request:
    head = request_head(
        method,
        path,
        token=token,
        length=size,
        Content_Type=_CONTENT_TYPE,
        Artstore_Attributes=_ATTRIBUTES,
    )
    return Request(head, body_size=size)
