"""The lines of an export: each a record in its place, as the log has it."""

import orjson

from artstore.core.audit.record import canonical
from artstore.core.audit.sealing import SealedRecord


def export_line(*, position: int, mac: str, text: str) -> bytes:
    """One line. What is no JSON any more is exported as a text: verifying it will say so."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        record = text
    line = {"position": position, "mac": mac, "record": record}
    return orjson.dumps(line, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def read_line(line: bytes) -> SealedRecord:
    """What :func:`export_line` was given.

    Raises:
        ValueError: it is something else.
    """
    try:
        document = orjson.loads(line)
        record = document["record"]
        text = record.encode() if isinstance(record, str) else canonical(record)
        return SealedRecord(int(document["position"]), text, bytes.fromhex(document["mac"]))
    except (KeyError, TypeError, orjson.JSONEncodeError) as error:
        raise ValueError("not a line of an export of the audit log") from error
