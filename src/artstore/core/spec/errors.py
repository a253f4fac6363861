"""Domain errors: what a back end raises and what the HTTP edge renders.

The tree, with the stable code of each::

    ArtStoreError
    ├── NotFoundError              not-found
    ├── AlreadyExistsError         already-exists
    ├── PreconditionFailedError    precondition-failed
    ├── InvalidRequestError        invalid-request
    │   └── ChecksumMismatchError  checksum-mismatch
    ├── UnauthenticatedError       unauthenticated
    │   └── LoginRefusedError      login-refused
    ├── ForbiddenError             forbidden
    │   └── PasswordExpiredError   password-expired
    ├── LockedOutError             locked-out
    ├── ModeNotAllowedError        mode-not-allowed
    ├── ModeTransitionNotAllowedError  mode-transition-not-allowed
    ├── RetentionActiveError       retention-active
    ├── BeingFinalizedError        being-finalized
    ├── SidecarDiffersError        sidecar-differs
    ├── RangeNotSatisfiableError   range-not-satisfiable
    ├── ContentTooLargeError       content-too-large
    ├── IncompleteBodyError        incomplete-body
    ├── RequestTimeoutError        request-timeout
    ├── TooManyRequestsError       too-many-requests
    ├── InsufficientStorageError   insufficient-storage
    ├── UnsupportedError           unsupported
    ├── CorruptedError             corrupted
    ├── UpstreamError              upstream-failed
    └── UnavailableError           unavailable       (the only retriable one)

    PluginError                    a start-up error: one line, no traceback
    ConfigurationError             a start-up error: one line, no traceback

Messages name what to change and never contain a secret. No error knows HTTP: one table in
``artstore.core.http.problems`` maps them to RFC 9457 problems.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar


class ArtStoreError(Exception):
    """An unforeseen failure; the base of every error a request can end with.

    ``code`` is stable across releases; ``detail`` is safe to show to the client.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFoundError(ArtStoreError):
    """The named thing does not exist."""

    code = "not-found"


class AlreadyExistsError(ArtStoreError):
    """The name is taken by something else."""

    code = "already-exists"


class PreconditionFailedError(ArtStoreError):
    """A condition of the request (``If-Match`` …) is false."""

    code = "precondition-failed"


class InvalidRequestError(ArtStoreError):
    """The request is malformed.

    ``errors`` lists ``(path, message)`` pairs, one per field to change.
    """

    code = "invalid-request"

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class ChecksumMismatchError(InvalidRequestError):
    """The bytes received do not have the digest that was declared for them."""

    code = "checksum-mismatch"

    def __init__(self, *, declared: str, computed: str) -> None:
        super().__init__(
            f"the body has SHA-256 {computed}, but {declared} was declared; nothing was stored, send it again"
        )
        self.declared = declared
        self.computed = computed


class UnauthenticatedError(ArtStoreError):
    """Credentials are missing or not valid."""

    code = "unauthenticated"


class ForbiddenError(ArtStoreError):
    """The principal is known but lacks a scope; ``scope`` names it when there is one."""

    code = "forbidden"

    def __init__(self, detail: str, *, scope: str | None = None) -> None:
        super().__init__(detail)
        self.scope = scope


class LoginRefusedError(UnauthenticatedError):
    """The name is unknown or the password wrong; the answer does not say which."""

    code = "login-refused"


class PasswordExpiredError(ForbiddenError):
    """The password is right but has expired: it must be changed first."""

    code = "password-expired"


class LockedOutError(ArtStoreError):
    """Too many wrong passwords: even the right one is refused until ``retry_after`` seconds have passed."""

    code = "locked-out"

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ModeNotAllowedError(ArtStoreError):
    """The storage element's mode does not allow the operation."""

    code = "mode-not-allowed"

    def __init__(self, *, element_id: str, mode: str, operation: str) -> None:
        super().__init__(f"storage element {element_id} is in mode {mode}, which does not allow {operation}")
        self.mode = mode
        self.operation = operation


class ModeTransitionNotAllowedError(ArtStoreError):
    """The storage element cannot change from its mode to the requested one."""

    code = "mode-transition-not-allowed"

    def __init__(self, *, element_id: str, from_mode: str, to_mode: str, next_modes: Sequence[str]) -> None:
        possible = (
            f"it can go to {' or '.join(next_modes)}" if next_modes else "it stays in this mode for life"
        )
        super().__init__(
            f"storage element {element_id} cannot go from mode {from_mode} to {to_mode}: {possible}"
        )
        self.from_mode = from_mode
        self.to_mode = to_mode


class RetentionActiveError(ArtStoreError):
    """The file must be kept: somebody holds it, or its retention has not ended.

    ``holds`` are the ids of its holds; ``until`` is when its retention ends, ``None`` for never.
    """

    code = "retention-active"

    def __init__(self, detail: str, *, holds: Sequence[str] = (), until: datetime | None = None) -> None:
        super().__init__(detail)
        self.holds = tuple(holds)
        self.until = until


class BeingFinalizedError(ArtStoreError):
    """The file is being made permanent; it can be changed again when that has ended."""

    code = "being-finalized"

    def __init__(self, key: object) -> None:
        super().__init__(f"file {key} is being made permanent; try again when its finalization has ended")


class SidecarDiffersError(ArtStoreError):
    """The sidecar of the file is not the one that the catalog knows, and is not overwritten unread."""

    code = "sidecar-differs"

    def __init__(self, key: object, *, version: int, known: int) -> None:
        super().__init__(
            f"the sidecar of file {key} has version {version} and is not the one, of version {known}, which "
            f"the catalog knows: see `artstore element check`; its --repair lets the catalog follow it"
        )


class RangeNotSatisfiableError(ArtStoreError):
    """None of the requested byte ranges lies within the object of ``size`` bytes."""

    code = "range-not-satisfiable"

    def __init__(self, *, size: int) -> None:
        super().__init__(f"no requested range lies within the {size} bytes of this file")
        self.size = size


class ContentTooLargeError(ArtStoreError):
    """The body is larger than ``limit`` bytes."""

    code = "content-too-large"

    def __init__(self, *, limit: int, what: str = "the body") -> None:
        super().__init__(f"{what} is larger than the limit of {limit} bytes")
        self.limit = limit


class IncompleteBodyError(ArtStoreError):
    """The body ended before its declared length; nothing was stored."""

    code = "incomplete-body"


class RequestTimeoutError(ArtStoreError):
    """The client stopped sending; nothing was stored."""

    code = "request-timeout"


class TooManyRequestsError(ArtStoreError):
    """The client exceeded its rate; it may try again after ``retry_after`` seconds."""

    code = "too-many-requests"

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class InsufficientStorageError(ArtStoreError):
    """There is no room for the object; nothing of it was kept."""

    code = "insufficient-storage"


class UnsupportedError(ArtStoreError):
    """The back end lacks the named capability."""

    code = "unsupported"


class CorruptedError(ArtStoreError):
    """The bytes found are not those that were stored; they are not served."""

    code = "corrupted"


class UpstreamError(ArtStoreError):
    """Another role answered in a way that its API does not document."""

    code = "upstream-failed"


class UnavailableError(ArtStoreError):
    """A dependency cannot be reached now; the same call may succeed after ``retry_after`` seconds."""

    code = "unavailable"

    def __init__(self, detail: str, *, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is one line that names what to change."""


class PluginError(ConfigurationError):
    """A plugin cannot be used; the message names the plugin and what to install or change."""
