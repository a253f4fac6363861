"""HTTP before it is a request: limits of its head, and the answer to what breaks the protocol."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.web_request import BaseRequest

from artstore.core.http.problems import problem_response
from artstore.core.logging import get_logger
from artstore.core.spec import InvalidRequestError

READ_BUFFER: Final = 256 * 1024
MAX_HEADER_SIZE: Final = 16 * 1024
"""Bytes of the request line, and of one header: ``Artstore-Attributes`` may have 8 KiB, an access token a
few."""
HANDLER_OPTIONS: Final[Mapping[str, Any]] = {
    "access_log": None,
    "read_bufsize": READ_BUFFER,
    "max_line_size": MAX_HEADER_SIZE,
    "max_field_size": MAX_HEADER_SIZE,
    "auto_decompress": False,
}
_log: Final = get_logger("http")


class Protocol(web.RequestHandler):
    """One connection. What is no request has no handler and no middleware; it is answered here."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem without the bytes that were sent, in place of aiohttp's text and traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        request_id = uuid.uuid4().hex
        _log.info(
            "request_malformed", reason=type(exc).__name__, client=request.remote, request_id=request_id
        )
        response = problem_response(InvalidRequestError(_detail(exc)), request_id=request_id)
        response.force_close()
        return response


def _detail(error: HttpProcessingError) -> str:
    if isinstance(error, LineTooLong):
        return f"the request line, or a header, is longer than {MAX_HEADER_SIZE} bytes"
    if isinstance(error, InvalidURLError):
        return "the request line has characters that a URL cannot have: percent-encode them (RFC 3986)"
    return "this is not a request as HTTP/1.1 defines it (RFC 9112)"
