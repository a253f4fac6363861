"""The page of errors: every stable code, its status and its meaning."""

from collections.abc import Iterator
from typing import Final

from artstore.core.http.problems import PROBLEM_TYPES
from docs.generator.markdown import plain

INTRODUCTION: Final = """\
Every error is an RFC 9457 `application/problem+json` document. `type` is `urn:artstore:problem:` and a code
of this page; `instance` is the request id, which the log has too; `errors` names each field to change. The
token endpoint alone answers errors of RFC 6749."""

FRAMEWORK: Final = """\
What reaches no operation is answered in the same form, with the name of the status as its code: an unknown
path (404 `not-found`), a method that a path does not have (405 `method-not-allowed`), a body of a type that
is not taken (415 `unsupported-media-type`)."""


def page() -> Iterator[str]:
    """A heading for every code, so that each can be linked to."""
    yield "# Errors"
    yield INTRODUCTION
    for error, kind in sorted(PROBLEM_TYPES.items(), key=lambda item: (item[1].status, item[0].code)):
        yield f"## {error.code}"
        yield f"{kind.status} {kind.title}. {plain(error.__doc__)}"
    yield "## Before an operation"
    yield FRAMEWORK
