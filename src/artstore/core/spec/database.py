"""The ``metadata`` contract: a transactional SQL database and its full-text ability."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Parameter = str | int | float | bytes | bool | None
Parameters = Mapping[str, Parameter]
Statement = tuple[str, Iterable[Parameters]]
"""SQL, and the sets of parameters for each of which it runs."""
Row = Mapping[str, Parameter]
Dialect = Literal["sqlite", "postgresql"]
TextMode = Literal["fulltext", "partial"]


@runtime_checkable
class Reader(Protocol):
    """Runs statements that only read.

    SQL is written once for every engine: named parameters as ``:name``; values are text, integers,
    floats, bytes, booleans (0 and 1 on SQLite) or ``None``. Rows are mappings by column name.
    Every method raises ``UnavailableError`` when the engine cannot be reached or does not answer in
    time.
    """

    @abstractmethod
    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """The first row, or ``None``."""
        ...

    @abstractmethod
    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        """Every row, in the order of the statement."""
        ...


@runtime_checkable
class Transaction(Reader, Protocol):
    """One open read-write transaction. It sees its own writes."""

    @abstractmethod
    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run one statement; the number of rows it changed.

        Raises:
            AlreadyExistsError: a uniqueness rule is violated; the statement did nothing.
        """
        ...

    @abstractmethod
    async def executemany(self, sql: str, parameters: Iterable[Parameters]) -> None:
        """Run one statement once per set of parameters.

        Raises:
            AlreadyExistsError: as :meth:`execute`.
        """
        ...

    async def execute_all(self, statements: Iterable[Statement]) -> None:
        """Run each statement as :meth:`executemany` does, in their order, up to the first that fails.

        A database to which each way costs something goes it once.

        Raises:
            AlreadyExistsError: as :meth:`execute`.
        """
        for sql, parameters in statements:
            await self.executemany(sql, parameters)


@dataclass(frozen=True, slots=True)
class TextDocument:
    """The searchable text of one row, keyed by the row's integer ``row_id``.

    ``row_id`` grows with time, so that the newest matches can be had without sorting.
    """

    row_id: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A row that matched; ``score`` is larger for better matches (0.0 where it was not asked for)."""

    row_id: int
    score: float


@runtime_checkable
class SearchIndex(Protocol):
    """Ability: full-text and substring search over documents, Russian and English at once."""

    @abstractmethod
    async def put(self, transaction: Transaction, documents: Iterable[TextDocument]) -> None:
        """Index ``documents``, replacing those with the same ``row_id``."""
        ...

    @abstractmethod
    async def delete(self, transaction: Transaction, row_ids: Iterable[int]) -> None:
        """Remove documents. Idempotent."""
        ...

    @abstractmethod
    def match_sql(self, query: str, mode: TextMode) -> tuple[str, Parameters] | None:
        """A statement that gives the ``row_id`` of every matching document, and its parameters.

        ``fulltext``: every word of ``query`` occurs in the document in some inflected form, in any
        order. ``partial``: ``query`` occurs as a substring, case-insensitively; one of one or two
        characters is looked for in the newest documents only. ``None`` when the query has nothing to
        look for. Parameters are named ``text_…``, so that they can be merged with others.

        However many documents match, only the newest are read by::

            SELECT … FROM (<sql>) AS matches CROSS JOIN files
            WHERE files.row_id = matches.row_id AND … ORDER BY matches.row_id DESC LIMIT :limit

        and any other order is kept cheap by bounding the candidates first::

            FROM (SELECT row_id FROM (<sql>) AS newest ORDER BY row_id DESC LIMIT :candidates) AS matches

        ``row_id IN (<sql>)`` is as right, but reads every match.
        """
        ...

    @abstractmethod
    async def rank(
        self,
        reader: Reader,
        query: str,
        *,
        candidates: int,
        limit: int,
        offset: int,
        within: tuple[str, Parameters] | None = None,
    ) -> Sequence[TextMatch]:
        """The best ``fulltext`` matches among the newest ``candidates`` matches, best first.

        ``within`` is a statement that gives ``row_id``s, and its parameters: no other match is a
        candidate. It may hold the one of :meth:`match_sql` for the same query.
        """
        ...

    @abstractmethod
    def highlight(self, query: str, text: str) -> str | None:
        """At most 200 characters of ``text`` around the first matching word.

        Matching words stand between ``<mark>`` and ``</mark>``; everything else is HTML-escaped.
        ``None`` when no word matches.
        """
        ...


@runtime_checkable
class Database(Reader, Protocol):
    """A SQL database.

    The methods of :class:`Reader` on the database itself read the last committed state and never wait
    for a writer.
    """

    @property
    @abstractmethod
    def dialect(self) -> Dialect:
        """The SQL dialect spoken."""
        ...

    @property
    @abstractmethod
    def url(self) -> str:
        """The SQLAlchemy URL that schema migrations connect with. May hold a password: never print."""
        ...

    @property
    @abstractmethod
    def search_index(self) -> SearchIndex | None:
        """The full-text ability."""
        ...

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A read-write transaction: committed when the context ends, rolled back when it raises.

        Write transactions are serializable. It is committed, as durably as the engine is configured
        to, when the context has been left. Do no other I/O inside: others wait.
        """
        ...
