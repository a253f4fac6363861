"""Why there is no access token for calling another role. Each is answered like the error it refines."""

from artstore.core.spec import UnavailableError, UpstreamError


class AuthenticationError(Exception):
    """We cannot prove to another role who we are."""


class IssuerUnreachableError(UnavailableError, AuthenticationError):
    """The token endpoint gave no answer, or said that it cannot work now. It may be asked again."""


class IssuerRefusedError(UpstreamError, AuthenticationError):
    """The token endpoint does not accept our credentials."""


class IssuerAnswerError(UpstreamError, AuthenticationError):
    """What the token endpoint answered is no token."""
