"""How domain values are written in SQL columns and read back."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from artstore.core.spec import Parameter, Parameters, Reader, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly: a float of seconds would round them."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _read_time(value: object) -> object:
    return from_microseconds(value) if isinstance(value, int) else value


def _read_words(value: object) -> object:
    return value.split() if isinstance(value, str) else value


StoredTime = Annotated[datetime, BeforeValidator(_read_time)]
"""A moment, kept as microseconds."""

Words = Annotated[frozenset[str], BeforeValidator(_read_words)]
"""A set of words without white space, kept as one text."""

OrderedWords = Annotated[tuple[str, ...], BeforeValidator(_read_words)]
"""The same with an order."""


class Record(BaseModel):
    """One row of a table whose columns are the fields' names."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls.model_validate(dict(row))

    def to_row(self) -> dict[str, Parameter]:
        return {name: _to_column(getattr(self, name)) for name in type(self).model_fields}


def _to_column(value: Parameter | datetime | frozenset[str] | tuple[str, ...]) -> Parameter:
    if isinstance(value, datetime):
        return to_microseconds(value)
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    if isinstance(value, tuple):
        return " ".join(value)
    return value


def insert_sql(table: str, record: type[Record]) -> str:
    """The statement that inserts :meth:`Record.to_row`."""
    columns = list(record.model_fields)
    values = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"


def integer(row: Row, column: str) -> int:
    value = row[column]
    if not isinstance(value, int):
        raise TypeError(f"{column} is not an integer")
    return value


def text(row: Row, column: str) -> str:
    value = row[column]
    if not isinstance(value, str):
        raise TypeError(f"{column} is not text")
    return value


async def count(reader: Reader, sql: str, parameters: Parameters | None = None) -> int:
    """How many rows a statement has."""
    row = await reader.fetch_one(f"SELECT COUNT(*) AS total FROM ({sql}) AS counted", parameters)
    return 0 if row is None else integer(row, "total")


def listed(name: str, values: Sequence[Parameter]) -> tuple[str, dict[str, Parameter]]:
    """The inside of ``IN (…)`` and its parameters."""
    parameters = {f"{name}_{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{parameter}" for parameter in parameters), parameters
