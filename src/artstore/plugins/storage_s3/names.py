"""Keys of objects, and the names under which the bucket has them."""

from typing import Final

from artstore.core.spec import InvalidRequestError, validate_key

WORKING_AREA: Final = ".artstore/"
"""Start of every name that is no object and may be deleted while nothing runs."""
PROBE: Final = "probe-"
"""Start of the names of what is put there, and removed, to see what a service honours."""

LONGEST_NAME: Final = 1024
"""Bytes of UTF-8 that S3 allows."""


class Names:
    """Names of one root: keys behind a prefix that is empty or ends with a slash."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._longest_key = LONGEST_NAME - len(prefix.encode())

    def of(self, key: str) -> str:
        """The name of the object ``key``.

        Raises:
            InvalidRequestError: ``key`` is not a key, is too long, or lies in the working area.
        """
        validate_key(key)
        if len(key.encode()) > self._longest_key:
            raise InvalidRequestError(
                f"behind the prefix of this storage a key has at most {self._longest_key} bytes"
            )
        if f"{key}/".startswith(WORKING_AREA):
            raise InvalidRequestError(f"key {key!r} lies in {WORKING_AREA}, which holds no objects")
        return self.prefix + key

    def working(self, name: str) -> str:
        """The name of something that is no object."""
        return f"{self.prefix}{WORKING_AREA}{name}"

    def is_own(self, name: str) -> bool:
        """Whether what the bucket has under ``name`` is no object, but made by this back end."""
        return name.startswith(self.working(PROBE))

    def key(self, name: str) -> str | None:
        """The key of what the bucket has under ``name``; ``None`` when that is no object."""
        key = name.removeprefix(self.prefix)
        try:
            self.of(key)
        except InvalidRequestError:
            return None
        return key
