"""Every domain error has a status, a code of its own and a place in the documented tree."""

from artstore.core.client.errors import AuthenticationError
from artstore.core.http.problems import PROBLEM_TYPES, RemoteError
from artstore.core.spec import ArtStoreError, errors


def _all_errors(base: type[ArtStoreError] = ArtStoreError) -> set[type[ArtStoreError]]:
    return {base}.union(*(_all_errors(below) for below in base.__subclasses__()))


def test_every_error_has_a_problem_type() -> None:
    ours = {error for error in _all_errors() if error.__module__ == errors.__name__}

    assert ours == set(PROBLEM_TYPES)


def test_codes_are_unique() -> None:
    codes = [error.code for error in PROBLEM_TYPES]

    assert len(set(codes)) == len(codes)


def test_the_tree_in_the_docstring_names_every_error_with_its_code() -> None:
    tree = errors.__doc__ or ""

    for error in PROBLEM_TYPES:
        assert error.__name__ in tree
        assert error is ArtStoreError or error.code in tree


def test_what_is_outside_the_tree_carries_a_remote_problem_or_refines_an_error_of_it() -> None:
    others = {error for error in _all_errors() if error.__module__.startswith("artstore.core")} - {
        *PROBLEM_TYPES,
        RemoteError,
    }

    for error in others:
        assert issubclass(error, AuthenticationError)
        assert error.__base__ in set(PROBLEM_TYPES) - {ArtStoreError}
        assert "code" not in vars(error)
