"""Every domain error has a status, a code of its own and a place in the documented tree."""

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


def test_no_error_exists_outside_the_tree_but_the_one_that_carries_a_remote_problem() -> None:
    others = {error for error in _all_errors() if error.__module__ != errors.__name__}

    assert {error for error in others if error.__module__.startswith("artstore.core")} == {RemoteError}
