"""What reading and writing a typical sidecar costs, against the limits of the design."""

import json
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from artstore.core.attributes import FileAttributes
from artstore.core.content_type import sniff
from artstore.core.ids import new_file_id
from artstore.core.naming import parse, storage_name
from benchmarks.tables import print_table
from benchmarks.workplace import Workplace

ROUNDS: Final = 2000
REPEATS: Final = 7


def run(_: Workplace) -> None:
    sidecar = typical()
    raw = sidecar.to_json()
    old = json.dumps(sidecar.to_v1()[0], ensure_ascii=False).encode()
    name = sidecar.storage_filename
    rows = [
        _row("read and validate schema 2", lambda: FileAttributes.from_json(raw), limit=50),
        _row("read, migrate and validate schema 1", lambda: FileAttributes.from_json(old), limit=100),
        _row("write the canonical form", sidecar.to_json, limit=100),
        _row("change and validate", lambda: sidecar.changed(description="x")),
        _row("make a name", lambda: _name(sidecar)),
        _row("parse a name", lambda: parse(name)),
        _row("sniff a PDF", lambda: sniff(b"%PDF-1.7\n%\xe2\xe3" + bytes(4000), "a.pdf")),
    ]
    title = f"One sidecar of {len(raw)} bytes, best of {REPEATS} runs of {ROUNDS}"
    print_table(title, ("", "µs", "aim"), rows)


def typical() -> FileAttributes:
    now, file_id = datetime.now(UTC), new_file_id()
    name = storage_name("Отчёт за 2026 год.pdf", username="accounting", created_at=now, file_id=file_id)
    return FileAttributes(
        file_id=file_id,
        original_filename="Отчёт за 2026 год.pdf",
        storage_filename=name.filename,
        storage_path=name.directory,
        file_size=48_213,
        content_type="application/pdf",
        checksum="ab" * 32,
        created_at=now,
        updated_at=now,
        created_by_id="d9a7c8f0-3a7f-4c52-bb0e-25b8a3bd4c77",
        created_by_username="accounting",
        description="Подписанный экземпляр",
        tags=["отчёт", "2026", "signed"],
        custom_attributes={
            "case": "A-17",
            "amount": 1250000.5,
            "parties": ["ООО «Ромашка»", {"inn": "7701234567"}],
        },
    )


def _name(sidecar: FileAttributes) -> object:
    return storage_name("a.pdf", username="u", created_at=sidecar.created_at, file_id=sidecar.file_id)


def _row(what: str, action: Callable[[], object], *, limit: int | None = None) -> tuple[str, ...]:
    seconds = min(timeit.repeat(action, number=ROUNDS, repeat=REPEATS)) / ROUNDS
    return what, f"{seconds * 1e6:.1f}", f"< {limit}" if limit else ""
