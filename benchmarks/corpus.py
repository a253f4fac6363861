"""An archive's worth of invented documents with Russian and English names, the same ones every time."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.journal import JournalEntry
from artstore.core.naming import storage_name

RARE_WORD: Final = "палимпсест"
"""In one name of five thousand."""
RARE_EVERY: Final = 5_000

_KINDS: Final = (
    "Счёт на оплату",
    "Invoice",
    "Товарная накладная",
    "Акт выполненных работ",
    "Договор поставки",
    "Счёт-фактура",
    "Contract",
    "Договор аренды",
    "Акт сверки",
    "Annual report",
    "Отчёт о продажах",
    "Протокол совещания",
    "Приказ о назначении",
    "Служебная записка",
    "Доверенность",
    "Statement of work",
    "Purchase order",
    "Meeting minutes",
)
"""The most frequent first."""

_PLACES: Final = ("Москва", "Казань", "Новосибирск", "Самара", "Berlin", "London", "Almaty", "Минск")
_MONTHS: Final = ("январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь")
_STARTS: Final = (
    "Рома",
    "Вега",
    "Альфа",
    "Сев",
    "Урал",
    "Нева",
    "Техно",
    "Строй",
    "Агро",
    "Прим",
    "Nord",
    "Euro",
)
_ENDS: Final = (
    "шка",
    "строй",
    "снаб",
    "торг",
    "маш",
    "пром",
    "инвест",
    "сервис",
    "line",
    "trade",
    "soft",
    "pharm",
)
_TYPES: Final = {".pdf": "application/pdf", ".docx": "application/msword", ".xml": "application/xml"}
_TAGS: Final = ("бухгалтерия", "кадры", "signed", "scan", "2025", "2026", "архив", "confidential")
_DESCRIPTIONS: Final = (
    "Подписанный экземпляр, получен по почте",
    "Скан с оригинала, хранить постоянно",
    "Copy for the auditors, reviewed",
    "Черновик, согласование с юридическим отделом",
    "Final version approved by the board of directors",
)
_FIRST_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


def journal_entries(count: int) -> Iterator[JournalEntry]:
    """The journal of an element that stored ``count`` documents over two years."""
    source = random.Random(20260101)
    for sequence in range(1, count + 1):
        created_at = _FIRST_DAY + timedelta(days=730) * sequence / count
        attributes = _document(source, sequence, created_at)
        yield JournalEntry(
            sequence=sequence,
            time=created_at,
            operation="create",
            file_id=attributes.file_id,
            attributes_digest="0" * 64,
            attributes=attributes,
        )


def _document(source: random.Random, sequence: int, created_at: datetime) -> FileAttributes:
    file_id = UUID(int=source.getrandbits(128), version=4)
    extension = source.choice(tuple(_TYPES))
    filename = _filename(source, sequence) + extension
    username = source.choice(("accounting", "hr-system", "crm", "scanner-3"))
    name = storage_name(filename, username=username, created_at=created_at, file_id=file_id)
    return FileAttributes(
        file_id=file_id,
        original_filename=filename,
        storage_filename=name.filename,
        storage_path=name.directory,
        file_size=int(source.lognormvariate(11, 1.5)),
        content_type=_TYPES[extension],
        checksum=f"{source.getrandbits(256):064x}",
        created_at=created_at,
        updated_at=created_at,
        created_by_id=username,
        created_by_username=username,
        description=source.choice((None, *_DESCRIPTIONS)),
        tags=source.sample(_TAGS, source.randint(0, 3)),
        custom_attributes={"case": f"А{source.randint(1, 60)}-{source.randint(1, 9999)}"},
    )


def _filename(source: random.Random, sequence: int) -> str:
    company = f"{_one(source, _STARTS)}{_one(source, _ENDS)}-{source.randint(1, 400)}"
    when = f"{source.choice(_MONTHS)} {source.randint(2015, 2026)}"
    rare = f" {RARE_WORD}" if sequence % RARE_EVERY == 0 else ""
    return f"{_one(source, _KINDS)} {company} {source.choice(_PLACES)} {when} №{sequence}{rare}"


def _one(source: random.Random, words: Sequence[str]) -> str:
    """Words are as frequent as Zipf says: the second half as much as the first, and so on."""
    return source.choices(words, weights=[1 / rank for rank in range(1, len(words) + 1)])[0]
