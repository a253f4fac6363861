"""A small archive of invented documents, and a search of it written as plainly as can be."""

import random
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from artstore.core.attributes import FileAttributes, Retention
from artstore.core.journal import JournalEntry
from artstore.core.search import SearchCriteria, SortKey
from tests.core.stores.entries import attributes, created_at

SIZE: Final = 60

STEMS: Final = (
    ("договор", "договора", "договоры", "Договором"),
    ("счёт", "счета", "счетом"),
    ("приёмка", "приемке", "приёмкой"),
    ("report", "reports", "Reporting"),
    ("invoice", "invoices"),
)
"""Forms of the same words: whoever looks for one finds all."""

TAGS: Final = ("акт", "Scan", "срочно", "2026")
EXTENSIONS: Final = {
    "pdf": "application/pdf",
    "JPG": "image/jpeg",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}
USERS: Final = ("alice", "bob", "Мария")
DEPARTMENTS: Final[Sequence[Any]] = ("закупки", "sales", 7, True, None, ["a", "b"])


@cache
def documents() -> Sequence[FileAttributes]:
    chance = random.Random(2026)
    return [_document(number, chance) for number in range(1, SIZE + 1)]


def entries() -> list[JournalEntry]:
    return [
        JournalEntry(
            sequence=number,
            time=document.created_at,
            operation="create",
            file_id=document.file_id,
            attributes_digest=document.digest,
            attributes=document,
        )
        for number, document in enumerate(documents(), 1)
    ]


def _document(number: int, chance: random.Random) -> FileAttributes:
    words = [chance.choice(chance.choice(STEMS)) for _ in range(3)]
    extension = chance.choice(list(EXTENSIONS))
    custom: dict[str, Any] = {"department": chance.choice(DEPARTMENTS)} if chance.random() < 0.8 else {}
    return attributes(
        number,
        # Few names: some files share one, so that order has ties.
        original_filename=f"{words[0]}_{number % 7}.{extension}",
        content_type=EXTENSIONS[extension],
        description=f"{words[1]} {words[2]}" if chance.random() < 0.7 else None,
        tags=chance.sample(TAGS, chance.randrange(3)),
        file_size=chance.choice((0, 10, 10, 500, 10**6)),
        updated_at=created_at(number) + timedelta(hours=chance.randrange(5)),
        created_by_username=chance.choice(USERS),
        custom_attributes=custom,
        retention=_retention(number, chance),
    )


def _retention(number: int, chance: random.Random) -> Retention:
    if chance.random() < 0.8:
        return Retention()
    return Retention(policy="temporary", expires_at=created_at(number) + timedelta(days=1))


def expected(criteria: SearchCriteria) -> list[FileAttributes]:
    """Every match in the order asked for, but for relevance: newest first."""
    matching = [document for document in documents() if matches(document, criteria)]
    return sorted(
        matching,
        key=lambda document: (_sort_value(document, criteria.sort_key), document.created_at),
        reverse=criteria.sort_order == "desc",
    )


def _sort_value(document: FileAttributes, key: SortKey) -> Any:
    match key:
        case "updated_at":
            return document.updated_at
        case "file_size":
            return document.file_size
        case "filename":
            return plain(document.original_filename).encode()
        case "created_at" | "relevance":
            return document.created_at


def matches(document: FileAttributes, criteria: SearchCriteria) -> bool:
    return all(
        (
            not criteria.text or _matches_text(document, criteria),
            criteria.filename is None or plain(criteria.filename) in plain(document.original_filename),
            criteria.file_extension is None
            or plain(document.original_filename).endswith("." + plain(criteria.file_extension.lstrip("."))),
            set(map(plain, criteria.tags)) <= set(map(plain, document.tags)),
            criteria.username in (None, document.created_by_username),
            criteria.min_size is None or document.file_size >= criteria.min_size,
            criteria.max_size is None or document.file_size <= criteria.max_size,
            criteria.created_after is None or document.created_at >= criteria.created_after,
            criteria.created_before is None or document.created_at < criteria.created_before,
            criteria.content_type is None
            or fnmatchcase(document.content_type.partition(";")[0], criteria.content_type),
            criteria.retention_policy in (None, document.retention.policy),
            all(
                name in document.custom_attributes and _same(document.custom_attributes[name], value)
                for name, value in criteria.attributes.items()
            ),
        )
    )


def plain(text: str) -> str:
    return text.casefold().replace("ё", "е")


def _same(one: object, other: object) -> bool:
    """Equal in JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _matches_text(document: FileAttributes, criteria: SearchCriteria) -> bool:
    texts = [document.original_filename, document.description or "", *document.tags]
    query = plain(criteria.text)
    if criteria.mode == "exact":
        wholes = [*map(plain, texts), document.checksum, str(document.file_id)]
        return query in wholes
    texts += [str(value) for value in document.custom_attributes.values() if isinstance(value, str)]
    if criteria.mode == "partial":
        return any(query in plain(text) for text in texts)
    words = {word for text in texts for word in plain(text).replace("_", " ").replace(".", " ").split()}
    return all(words & _forms(word) for word in query.split())


def _forms(word: str) -> set[str]:
    for forms in STEMS:
        if word in map(plain, forms):
            return set(map(plain, forms))
    return {word}
