"""What pydantic found wrong becomes paths and messages that help and never repeat a value."""

import json
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.spec import InvalidRequestError
from artstore.core.validation import (
    MAX_FAULTS,
    MAX_NAME_LENGTH,
    describe,
    from_request,
    invalid_request,
    repeated_name,
)


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["cat"] = "cat"
    whiskers: int = 0


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["dog"] = "dog"


class Home(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: str = "x"
    owner: UUID | None = None
    cats: list[Cat] = []
    favourite: Cat | None = None
    guest: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    room_count: Annotated[int, Field(alias="roomCount")] = 1


def error_of(values: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Home.model_validate(values)
    return caught.value


def test_an_unknown_field_is_answered_with_the_nearest_known_one() -> None:
    faults = describe(error_of({"adress": "a"}), Home)

    assert faults == [("adress", "is unknown; did you mean address?")]


def test_an_unknown_field_that_resembles_nothing_gets_no_suggestion() -> None:
    assert describe(error_of({"zzz": 1}), Home) == [("zzz", "is unknown")]


def test_an_unknown_field_is_told_the_name_that_the_client_uses() -> None:
    faults = describe(error_of({"roomCoumt": 1}), Home)

    assert faults == [("roomCoumt", "is unknown; did you mean roomCount?")]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"cats": [{}, {"whisker": 3}]}, "cats.1.whisker"),
        ({"favourite": {"whisker": 3}}, "favourite.whisker"),
    ],
)
def test_a_suggestion_comes_from_the_object_that_holds_the_unknown_field(values: object, path: str) -> None:
    assert describe(error_of(values), Home) == [(path, "is unknown; did you mean whiskers?")]


def test_without_a_model_an_unknown_field_is_only_named() -> None:
    assert describe(error_of({"adress": "a"})) == [("adress", "is unknown")]


@pytest.mark.parametrize(
    "values",
    [
        {"owner": "ésame"},
        {"guest": {"kind": "ésame"}},
        {"cats": "ésame"},
        {"favourite": {"whiskers": "ésame"}},
        {"favourite": {"kind": "ésame"}},
        {"address": ["ésame"]},
    ],
)
def test_no_value_that_was_sent_is_repeated(values: object) -> None:
    error = invalid_request(error_of(values), Home)

    assert error.errors
    assert "é" not in f"{error.detail} {error.errors}"


def test_the_name_of_an_unknown_field_is_cut_and_made_printable() -> None:
    [(path, _)] = describe(error_of({"a\n\x1b" + "b" * 10_000: 1}), Home)

    assert path.startswith("a\\n\\x1bbbb")
    assert len(path) < 2 * MAX_NAME_LENGTH


def test_thousands_of_faults_get_a_short_answer() -> None:
    faults = describe(error_of({f"field{number}": 1 for number in range(3000)}), Home)

    assert len(faults) == MAX_FAULTS


def test_the_request_error_says_everything_in_one_line_and_keeps_the_pairs() -> None:
    error = invalid_request(error_of({"address": 1, "cats": 1}), Home)

    assert error.detail == "address: should be a valid string; cats: should be a valid list"
    assert error.errors == (("address", "should be a valid string"), ("cats", "should be a valid list"))


def test_malformed_json_is_a_fault_of_the_whole_body() -> None:
    with pytest.raises(ValidationError) as caught:
        Home.model_validate_json(b'{"address": ')

    error = invalid_request(caught.value, Home)

    assert error.detail.startswith("Invalid JSON: EOF")
    assert error.errors[0][0] == ""


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"address": "a", "address": "b"}', "address"),
        (b'{"address": "a", "\\u0061ddress": "b"}', "address"),
        (b'{"cats": [{}, {"whiskers": 1, "kind": "cat", "whiskers": 2}]}', "whiskers"),
    ],
)
def test_what_is_given_twice_is_refused_and_named(body: bytes, name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        from_request(Home, body)

    assert caught.value.errors == ((name, "is there twice in one object"),)


def test_one_name_in_several_objects_is_no_fault() -> None:
    home = from_request(Home, b'{"cats": [{"whiskers": 1}, {"whiskers": 2}], "favourite": {"whiskers": 3}}')

    assert [cat.whiskers for cat in home.cats] == [1, 2]


def test_a_name_is_found_twice_beside_numbers_that_python_does_not_read() -> None:
    assert repeated_name('{"n": ' + "9" * 5000 + ', "n": 1e999999}') == "n"


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_what_has_no_name_twice_is_let_through(value: object) -> None:
    assert repeated_name(json.dumps(value)) is None
