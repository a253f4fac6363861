"""What every SQL database must do, as tests its author runs by overriding one fixture."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import pytest

from artstore.core.spec import AlreadyExistsError, Database, Dialect, Parameter, Transaction, UnavailableError

ADD: Final = "INSERT INTO contract_counters (name, value) VALUES (:name, :value)"
READ: Final = "SELECT value FROM contract_counters WHERE name = :name"
SET: Final = "UPDATE contract_counters SET value = :value WHERE name = :name"

LONGEST_WAIT: Final = 60.0
"""Seconds after which a call that must not wait is taken for one that does."""

_BYTES: Final[dict[Dialect, str]] = {"sqlite": "BLOB", "postgresql": "BYTEA"}


class DatabaseContract:
    """Override ``database`` with one whose tables named ``contract_…`` may be made and dropped."""

    @pytest.fixture
    def database(self) -> Database:
        """The database to prove."""
        raise NotImplementedError("override this fixture")

    @pytest.fixture(autouse=True)
    async def tables(self, database: Database) -> AsyncGenerator[None, None]:
        """Empty tables."""
        async with database.transaction() as transaction:
            await _drop_tables(transaction)
            await transaction.execute(
                "CREATE TABLE contract_counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"
            )
            await transaction.execute(
                "CREATE TABLE contract_values (id BIGINT PRIMARY KEY, a_text TEXT, an_integer BIGINT,"
                f" a_float DOUBLE PRECISION, bytes {_BYTES[database.dialect]}, a_boolean BOOLEAN)"
            )
        yield
        async with database.transaction() as transaction:
            await _drop_tables(transaction)

    async def test_the_url_is_of_the_dialect(self, database: Database) -> None:
        assert database.url.startswith(database.dialect)

    async def test_what_is_committed_is_read(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"name": "a", "value": 1})

        assert await database.fetch_one(READ, {"name": "a"}) == {"value": 1}

    async def test_a_transaction_that_raises_leaves_nothing(self, database: Database) -> None:
        async def add_and_raise() -> None:
            async with database.transaction() as transaction:
                await transaction.execute(ADD, {"name": "a", "value": 1})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await add_and_raise()

        assert await names(database) == []

    async def test_a_transaction_without_statements_is_no_error(self, database: Database) -> None:
        async with database.transaction():
            pass

        assert await names(database) == []

    async def test_a_transaction_sees_its_own_writes(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"name": "a", "value": 1})
            await transaction.execute(SET, {"name": "a", "value": 2})

            assert await transaction.fetch_one(READ, {"name": "a"}) == {"value": 2}
            assert await transaction.fetch_all("SELECT name FROM contract_counters") == [{"name": "a"}]

    async def test_readers_neither_wait_for_a_writer_nor_see_what_it_has_not_committed(
        self, database: Database
    ) -> None:
        await add(database, "a", 1)

        async with database.transaction() as transaction:
            await transaction.execute(SET, {"name": "a", "value": 2})
            async with asyncio.timeout(LONGEST_WAIT):
                rows = await asyncio.gather(*(database.fetch_one(READ, {"name": "a"}) for _ in range(20)))

        assert rows == [{"value": 1}] * 20

    async def test_no_row_is_none_and_no_rows_are_empty(self, database: Database) -> None:
        assert await database.fetch_one("SELECT name FROM contract_counters") is None
        assert list(await database.fetch_all("SELECT name FROM contract_counters")) == []

    async def test_rows_come_in_the_order_of_the_statement(self, database: Database) -> None:
        for name, value in (("a", 3), ("b", 1), ("c", 2)):
            await add(database, name, value)

        rows = await database.fetch_all("SELECT name FROM contract_counters ORDER BY value DESC")
        first = await database.fetch_one("SELECT name FROM contract_counters ORDER BY value DESC")

        assert [row["name"] for row in rows] == ["a", "c", "b"]
        assert first == {"name": "a"}

    async def test_a_row_is_read_by_the_names_of_its_columns(self, database: Database) -> None:
        await add(database, "a", 1)

        row = await database.fetch_one(
            "SELECT name, value AS renamed, COUNT(*) OVER () AS total FROM contract_counters"
        )

        assert row is not None
        assert dict(row) == {"name": "a", "renamed": 1, "total": 1}

    async def test_a_parameter_may_be_used_twice_and_others_be_left_over(self, database: Database) -> None:
        await add(database, "a", 1)

        row = await database.fetch_one(
            "SELECT name FROM contract_counters WHERE name = :name AND name >= :name",
            {"name": "a", "unused": 1},
        )

        assert row == {"name": "a"}

    @pytest.mark.parametrize("parameters", [None, {"value": 1}], ids=["without", "with parameters"])
    async def test_colons_and_percent_signs_in_literals_are_only_text(
        self, database: Database, parameters: dict[str, Parameter] | None
    ) -> None:
        await add(database, "100% of 12:30", 1)

        row = await database.fetch_one(
            "SELECT ':value %s %(value)s ?' AS literal FROM contract_counters WHERE name LIKE '%\\% of 12:30'"
            " ESCAPE '\\'" + (" AND value = :value" if parameters else ""),
            parameters,
        )

        assert row == {"literal": ":value %s %(value)s ?"}

    @pytest.mark.parametrize("text", ["", "a", "Отчёт №1 🗄", "'; DROP TABLE contract_values; --", "a\n\t\\b"])
    async def test_text_is_kept(self, database: Database, text: str) -> None:
        assert await self.kept(database, "a_text", text) == text

    @pytest.mark.parametrize("integer", [0, -1, 2**63 - 1, -(2**63)])
    async def test_integers_of_64_bits_are_kept(self, database: Database, integer: int) -> None:
        assert await self.kept(database, "an_integer", integer) == integer

    @pytest.mark.parametrize("number", [0.0, -1.5, 0.1, 1e300])
    async def test_floats_are_kept(self, database: Database, number: float) -> None:
        assert await self.kept(database, "a_float", number) == number

    @pytest.mark.parametrize("data", [b"", b"\x00\xff\x80", bytes(range(256)) * 1000])
    async def test_bytes_are_kept(self, database: Database, data: bytes) -> None:
        kept = await self.kept(database, "bytes", data)

        assert isinstance(kept, bytes)
        assert kept == data

    @pytest.mark.parametrize("boolean", [True, False])
    async def test_booleans_are_kept(self, database: Database, *, boolean: bool) -> None:
        assert await self.kept(database, "a_boolean", boolean) == boolean

    @pytest.mark.parametrize("column", ["a_text", "an_integer", "a_float", "bytes", "a_boolean"])
    async def test_nothing_is_kept_as_nothing(self, database: Database, column: str) -> None:
        assert await self.kept(database, column, None) is None

    async def kept(self, database: Database, column: str, value: Parameter) -> Parameter:
        """What becomes of ``value`` in a column."""
        async with database.transaction() as transaction:
            await transaction.execute(
                f"INSERT INTO contract_values (id, {column}) VALUES (1, :value)",
                {"value": value},
            )
        row = await database.fetch_one(f"SELECT {column} AS kept FROM contract_values")
        assert row is not None
        return row["kept"]

    async def test_execute_tells_how_many_rows_it_changed(self, database: Database) -> None:
        async with database.transaction() as transaction:
            added = await transaction.execute(
                "INSERT INTO contract_counters (name, value) VALUES ('a', 1), ('b', 2), ('c', 2)"
            )
            changed = await transaction.execute("UPDATE contract_counters SET value = 3 WHERE value = 2")
            missed = await transaction.execute("DELETE FROM contract_counters WHERE value = 2")
            skipped = await transaction.execute(ADD + " ON CONFLICT DO NOTHING", {"name": "a", "value": 1})
            read = await transaction.execute("CREATE TABLE contract_others (name TEXT)")

        assert (added, changed, missed, skipped, read) == (3, 2, 0, 0, 0)

    async def test_a_changed_row_is_returned_when_the_statement_says_so(self, database: Database) -> None:
        async with database.transaction() as transaction:
            row = await transaction.fetch_one(f"{ADD} RETURNING value AS added", {"name": "a", "value": 5})

        assert row == {"added": 5}
        assert await names(database) == ["a"]

    async def test_executemany_runs_once_per_set(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.executemany(ADD, ({"name": str(n), "value": n} for n in range(1000)))

        row = await database.fetch_one("SELECT COUNT(*) AS rows, SUM(value) AS total FROM contract_counters")
        assert row == {"rows": 1000, "total": 499_500}

    async def test_executemany_of_nothing_does_nothing(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.executemany(ADD, [])

        assert await names(database) == []

    async def test_a_taken_unique_value_is_an_error_after_which_the_transaction_goes_on(
        self, database: Database
    ) -> None:
        await add(database, "a", 1)

        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"name": "b", "value": 1})
            with pytest.raises(AlreadyExistsError):
                await transaction.execute(ADD, {"name": "a", "value": 2})
            with pytest.raises(AlreadyExistsError):
                await transaction.fetch_one(f"{ADD} RETURNING name", {"name": "a", "value": 2})
            await transaction.execute(ADD, {"name": "c", "value": 1})

        assert await names(database) == ["a", "b", "c"]
        assert await database.fetch_one(READ, {"name": "a"}) == {"value": 1}

    async def test_a_value_is_taken_in_a_column_that_is_unique_without_being_the_key(
        self, database: Database
    ) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(
                "CREATE TABLE contract_others (id BIGINT PRIMARY KEY, name TEXT UNIQUE)"
            )
            await transaction.execute("INSERT INTO contract_others (id, name) VALUES (1, 'a'), (2, NULL)")

            with pytest.raises(AlreadyExistsError):
                await transaction.execute("INSERT INTO contract_others (id, name) VALUES (3, 'a')")

    async def test_statements_that_go_together_run_in_their_order(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.execute_all(
                [
                    (ADD, [{"name": "a", "value": 1}, {"name": "b", "value": 2}]),
                    (ADD, ()),
                    (
                        "UPDATE contract_counters SET value = :value WHERE name = :name",
                        [{"name": "a", "value": 3}],
                    ),
                ]
            )
            with pytest.raises(AlreadyExistsError):
                await transaction.execute_all(
                    [(ADD, [{"name": "c", "value": 4}]), (ADD, [{"name": "a", "value": 5}])]
                )

        assert await names(database) == ["a", "b", "c"]
        assert await database.fetch_one(READ, {"name": "a"}) == {"value": 3}

    async def test_executemany_that_meets_a_taken_value_does_nothing(self, database: Database) -> None:
        await add(database, "a", 1)

        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"name": "b", "value": 1})
            with pytest.raises(AlreadyExistsError):
                await transaction.executemany(ADD, [{"name": name, "value": 2} for name in ("c", "a", "d")])

        assert await names(database) == ["a", "b"]

    async def test_a_statement_that_cannot_run_fails_its_transaction_alone(self, database: Database) -> None:
        async def add_and_fail() -> None:
            async with database.transaction() as transaction:
                await transaction.execute(ADD, {"name": "a", "value": 1})
                await transaction.execute("UPDATE contract_missing SET value = 1")

        with pytest.raises(Exception, match="contract_missing"):
            await add_and_fail()

        await add(database, "b", 1)
        assert await names(database) == ["b"]

    async def test_concurrent_transactions_lose_nothing(self, database: Database) -> None:
        await add(database, "a", 0)

        await asyncio.gather(*(increment(database, "a") for _ in range(200)))

        assert await database.fetch_one(READ, {"name": "a"}) == {"value": 200}

    async def test_transactions_that_fail_among_others_leave_them_alone(self, database: Database) -> None:
        async def attempt(number: int) -> None:
            async with database.transaction() as transaction:
                await transaction.execute(ADD, {"name": f"{number:02}", "value": number})
                if number % 3 == 0:
                    raise ZeroDivisionError

        outcomes = await asyncio.gather(*(attempt(n) for n in range(60)), return_exceptions=True)

        assert [isinstance(outcome, ZeroDivisionError) for outcome in outcomes] == [
            n % 3 == 0 for n in range(60)
        ]
        assert await names(database) == [f"{n:02}" for n in range(60) if n % 3]

    async def test_a_transaction_cancelled_in_the_middle_leaves_nothing(self, database: Database) -> None:
        has_written = asyncio.Event()

        async def write_and_wait() -> None:
            async with database.transaction() as transaction:
                await transaction.execute(ADD, {"name": "a", "value": 1})
                has_written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write_and_wait())
        await has_written.wait()
        task.cancel()
        await add(database, "b", 1)
        await asyncio.wait([task])

        assert task.cancelled()
        assert await names(database) == ["b"]

    async def test_a_transaction_cancelled_before_its_turn_never_happens(self, database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"name": "a", "value": 1})
            waiting = [asyncio.create_task(add(database, name, 1)) for name in ("b", "c")]
            await asyncio.sleep(0)
            waiting[0].cancel()
        await waiting[1]

        assert waiting[0].cancelled()
        assert await names(database) == ["a", "c"]

    async def test_cancelling_some_of_many_neither_loses_others_nor_stops_the_database(
        self, database: Database
    ) -> None:
        tasks = [asyncio.create_task(add(database, f"{number:02}", number)) for number in range(60)]
        for steps, task in enumerate(tasks[::2]):
            for _ in range(steps % 7):
                await asyncio.sleep(0)
            task.cancel()

        await asyncio.wait(tasks)
        await add(database, "last", 1)

        # Cancelled while it is being committed, a transaction may be committed or not.
        acknowledged = {f"{number:02}" for number, task in enumerate(tasks) if not task.cancelled()}
        assert acknowledged >= {f"{number:02}" for number in range(1, 60, 2)}
        assert acknowledged <= set(await names(database))


async def add(database: Database, name: str, value: int) -> None:
    """Commit one counter."""
    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"name": name, "value": value})


async def increment(database: Database, name: str) -> None:
    """Read a counter and write the next value, as often as the engine says that a conflict is in the way."""
    while True:
        try:
            async with database.transaction() as transaction:
                row = await transaction.fetch_one(READ, {"name": name})
                assert row is not None
                await transaction.execute(SET, {"name": name, "value": int(row["value"] or 0) + 1})
        except UnavailableError:
            continue
        return


async def names(database: Database) -> Sequence[Parameter]:
    """The names of all counters."""
    return [
        row["name"] for row in await database.fetch_all("SELECT name FROM contract_counters ORDER BY name")
    ]


async def _drop_tables(transaction: Transaction) -> None:
    for table in ("contract_counters", "contract_values", "contract_others"):
        await transaction.execute(f"DROP TABLE IF EXISTS {table}")
