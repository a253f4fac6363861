"""Transactions that meet share a COMMIT; none of them is acknowledged before it, or without it."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from artstore.core.spec import Database, InsufficientStorageError, UnavailableError
from artstore.plugins.metadata_sqlite import file, writer
from artstore.plugins.metadata_sqlite.handover import Results
from artstore.plugins.metadata_sqlite.transaction import SqliteTransaction
from artstore.plugins.metadata_sqlite.writer import Writer, open_writer

PATIENCE = 60.0
ADD = "INSERT INTO numbers (number) VALUES (:number)"

TransactionFactory = Callable[[], SqliteTransaction]


@asynccontextmanager
async def traced_writer(path: Path, statements: list[str]) -> AsyncGenerator[Writer, None]:
    """A writer whose connection notes every statement that it runs."""
    connect = partial(file.connect, path, synchronous="normal", busy_timeout=PATIENCE)

    def connect_traced() -> sqlite3.Connection:
        connection = connect()
        connection.execute("CREATE TABLE numbers (number INTEGER UNIQUE)")
        connection.execute(
            "CREATE TABLE references_to (number REFERENCES numbers (number) DEFERRABLE INITIALLY DEFERRED)"
        )
        connection.set_trace_callback(statements.append)
        return connection

    await asyncio.to_thread(file.prepare, path, tables=[], busy_timeout=PATIENCE)
    with closing(Results()) as results:
        async with open_writer(connect_traced, results) as opened:
            yield opened


@pytest.fixture
def statements() -> list[str]:
    """What the writing connection has run."""
    return []


@pytest.fixture
async def transaction(path: Path, statements: list[str]) -> AsyncGenerator[TransactionFactory, None]:
    """Begins a transaction of one writer."""
    async with traced_writer(path, statements) as opened:
        yield partial(SqliteTransaction, opened)


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the machine takes, it does not make a group end early."""
    monkeypatch.setattr(writer, "GROUP_DURATION", PATIENCE)


async def add(transaction: TransactionFactory, number: int) -> None:
    async with transaction() as opened:
        await opened.execute(ADD, {"number": number})


async def add_twice(transaction: TransactionFactory, number: int) -> None:
    """Runs into the uniqueness of numbers."""
    async with transaction() as opened:
        await opened.execute(ADD, {"number": number})
        await opened.execute(ADD, {"number": number})


async def kept(transaction: TransactionFactory) -> list[int]:
    async with transaction() as opened:
        rows = await opened.fetch_all("SELECT number FROM numbers ORDER BY number")
    return [int(row["number"] or 0) for row in rows]


async def test_a_transaction_alone_is_committed_at_once(
    transaction: TransactionFactory, statements: list[str]
) -> None:
    await add(transaction, 1)

    assert statements == ["BEGIN IMMEDIATE", "INSERT INTO numbers (number) VALUES (1)", "COMMIT"]


@pytest.mark.usefixtures("slow_machine")
async def test_transactions_that_meet_share_a_commit(
    transaction: TransactionFactory, statements: list[str]
) -> None:
    await asyncio.gather(*(add(transaction, number) for number in range(50)))

    assert statements.count("COMMIT") == 1
    assert await kept(transaction) == list(range(50))


@pytest.mark.usefixtures("slow_machine")
async def test_a_group_has_a_largest_size(transaction: TransactionFactory, statements: list[str]) -> None:
    await asyncio.gather(*(add(transaction, number) for number in range(2 * writer.GROUP_SIZE + 1)))

    assert statements.count("COMMIT") == 3


async def test_a_group_has_a_longest_duration(
    transaction: TransactionFactory, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_DURATION", 0.0)

    await asyncio.gather(*(add(transaction, number) for number in range(10)))

    assert statements.count("COMMIT") == 10


@pytest.mark.usefixtures("slow_machine")
async def test_a_member_that_raises_undoes_itself_alone(
    transaction: TransactionFactory, statements: list[str]
) -> None:
    outcomes = await asyncio.gather(
        *(add_twice(transaction, n) if n % 3 == 0 else add(transaction, n) for n in range(9)),
        return_exceptions=True,
    )

    assert [outcome is None for outcome in outcomes] == [n % 3 != 0 for n in range(9)]
    assert statements.count("COMMIT") == 1
    assert await kept(transaction) == [1, 2, 4, 5, 7, 8]


@pytest.mark.usefixtures("slow_machine")
async def test_nobody_is_acknowledged_before_the_commit(
    transaction: TransactionFactory, statements: list[str]
) -> None:
    commits_seen: list[int] = []

    async def add_and_look(number: int) -> None:
        await add(transaction, number)
        commits_seen.append(statements.count("COMMIT"))

    await asyncio.gather(*(add_and_look(number) for number in range(20)))

    assert commits_seen == [1] * 20


@pytest.mark.usefixtures("slow_machine")
async def test_a_commit_that_fails_fails_every_member(
    transaction: TransactionFactory, statements: list[str]
) -> None:
    async def refer_to_nothing() -> None:
        async with transaction() as opened:
            await opened.execute("INSERT INTO references_to (number) VALUES (404)")

    outcomes = await asyncio.gather(
        add(transaction, 1), refer_to_nothing(), add(transaction, 2), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    assert statements.count("COMMIT") == 1
    assert await kept(transaction) == []


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("reaction", ["raise", "go on", "leave"])
async def test_when_the_database_is_full_every_member_of_the_group_fails(
    transaction: TransactionFactory, reaction: str
) -> None:
    async def fill() -> None:
        async with transaction() as opened:
            row = await opened.fetch_one("PRAGMA page_count")
            assert row is not None
            await opened.fetch_one(f"PRAGMA max_page_count = {row['page_count']!s}")
            try:
                await opened.execute("INSERT INTO references_to VALUES (zeroblob(1000000))")
            except InsufficientStorageError:
                if reaction == "raise":
                    raise
            if reaction == "go on":  # outside its lost transaction this would be committed by itself
                await opened.execute(ADD, {"number": 3})

    outcomes = await asyncio.gather(
        add(transaction, 1), add(transaction, 2), fill(), add(transaction, 4), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [InsufficientStorageError] * 3 + [type(None)]
    assert await kept(transaction) == [4]


async def test_a_waiting_transaction_that_is_cancelled_does_not_keep_others_from_their_commit(
    transaction: TransactionFactory,
) -> None:
    async with asyncio.timeout(PATIENCE):
        async with transaction() as opened:
            await opened.execute(ADD, {"number": 1})
            waiting = asyncio.create_task(add(transaction, 2))
            await asyncio.sleep(0)
            # Runs after this one has been left in favour of the other, before the other begins.
            asyncio.get_running_loop().call_soon(waiting.cancel)

    assert await kept(transaction) == [1]
    assert waiting.cancelled()


async def test_the_result_of_a_cancelled_statement_is_dropped(transaction: TransactionFactory) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))

    async with transaction() as opened:
        statement = asyncio.create_task(opened.execute(ADD, {"number": 1}))
        await asyncio.sleep(0)
        statement.cancel()
        await opened.execute(ADD, {"number": 2})

    assert statement.cancelled()
    assert errors == []
    assert await kept(transaction) == [1, 2]


async def test_a_transaction_that_has_ended_takes_no_more_statements(transaction: TransactionFactory) -> None:
    async with transaction() as ended:
        pass

    async with transaction():
        with pytest.raises(RuntimeError, match="outside its transaction"):
            await ended.execute(ADD, {"number": 1})

    assert await kept(transaction) == []


@pytest.mark.usefixtures("slow_machine")
async def test_closing_gives_up_what_is_not_committed(path: Path, statements: list[str]) -> None:
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(traced_writer(path, statements))
        transaction = partial(SqliteTransaction, opened)
        has_written, may_go_on = asyncio.Event(), asyncio.Event()

        async def write_slowly() -> None:
            async with transaction() as slow:
                await slow.execute(ADD, {"number": 2})
                has_written.set()
                await may_go_on.wait()
                # Cancels the one that waits after it has been called, before it begins.
                asyncio.get_running_loop().call_soon(tasks[2].cancel)
                await slow.execute(ADD, {"number": 3})

        tasks = [
            asyncio.create_task(add(transaction, 1)),  # left, waits for the COMMIT
            asyncio.create_task(write_slowly()),  # open
            asyncio.create_task(add(transaction, 4)),  # waits for its turn
        ]
        await has_written.wait()
    may_go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    expected = [UnavailableError, UnavailableError, asyncio.CancelledError]
    assert [type(outcome) for outcome in outcomes] == expected
    with pytest.raises(UnavailableError, match="closed"):
        await add(transaction, 5)
    assert "COMMIT" not in statements


async def test_what_is_read_after_closing_is_unavailable(
    open_database: Callable[[], AsyncExitStack],
) -> None:
    async with open_database() as database:
        assert isinstance(database, Database)

    with pytest.raises(UnavailableError, match="closed"):
        await database.fetch_one("SELECT 1")
