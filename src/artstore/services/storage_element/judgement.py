"""What is wrong with a file, given what storage and catalog have of it: the rules, without any I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from artstore.core.inspection import Finding, FindingKind
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import ObjectInfo
from artstore.services.storage_element.sidecars import Sidecar, Unusable, id_in


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What the catalog has of a file, as far as it is compared."""

    key: str
    digest: str
    status: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is at the key of some data.

    ``row`` is the catalog's, of the file that the sidecar or else the name of the data tells. ``sha256`` is
    that of the data, where they were read. ``is_row_backed``: whether there is a sidecar where the row says.
    """

    key: str
    data: ObjectInfo | None
    sidecar: Sidecar | Unusable | None
    row: KnownRow | None
    is_row_backed: bool = False
    sha256: str | None = None


def file_id_of(evidence_key: str, sidecar: Sidecar | Unusable | None) -> UUID | None:
    """Which file this is about; nobody can tell of strangers."""
    return sidecar.attributes.file_id if isinstance(sidecar, Sidecar) else id_in(evidence_key)


def judge(evidence: Evidence) -> Iterator[Finding]:
    """Everything that is wrong."""
    sidecar = evidence.sidecar
    if isinstance(sidecar, Unusable):
        kind: FindingKind = "foreign_sidecar" if sidecar.fault == "foreign" else "unreadable_sidecar"
        yield _finding(evidence, kind, sidecar.reason, key=sidecar.key)
    elif sidecar is None:
        yield from _judge_data(evidence)
    else:
        yield from _judge_row(evidence, sidecar)
        yield from _judge_content(evidence, sidecar)


def _judge_data(evidence: Evidence) -> Iterator[Finding]:
    """Data without a sidecar. What the catalog expects there is told as a lost sidecar, by its row."""
    if evidence.data is None or (evidence.row is not None and evidence.row.key == evidence.key):
        return
    if file_id_of(evidence.key, None) is None:
        yield _finding(evidence, "stranger", "it has neither a sidecar nor a name as ArtStore makes them")
    else:
        yield _finding(evidence, "orphan_data", f"{evidence.data.size} bytes without a sidecar")


def _judge_row(evidence: Evidence, sidecar: Sidecar) -> Iterator[Finding]:
    row, change = evidence.row, sidecar.change
    sidecar_key = change.key + SIDECAR_SUFFIX
    if row is None:
        yield _finding(evidence, "missing_row", "the catalog does not know its file", key=sidecar_key)
    elif row.key != change.key and evidence.is_row_backed:
        reason = f"it is of the file whose sidecar is {row.key}{SIDECAR_SUFFIX}"
        yield _finding(evidence, "copied_sidecar", reason, key=sidecar_key)
    elif row.key != change.key:
        yield _finding(evidence, "outdated_row", f"the catalog says it is at {row.key}", key=sidecar_key)
    elif row.digest != change.digest:
        reason = f"its digest is {change.digest}, the catalog says {row.digest}"
        yield _finding(evidence, "outdated_row", reason, key=sidecar_key)


def _judge_content(evidence: Evidence, sidecar: Sidecar) -> Iterator[Finding]:
    data, attributes = evidence.data, sidecar.attributes
    if attributes.status == "deleted":
        if data is not None:
            yield _finding(evidence, "deleted_data", f"{data.size} bytes of a file that is deleted")
    elif data is None:
        yield _finding(evidence, "missing_data", "there is no file with the data its sidecar describes")
    elif data.size != attributes.file_size:
        reason = f"it has {data.size} bytes, its sidecar says {attributes.file_size}"
        yield _finding(evidence, "size_difference", reason)
    elif evidence.sha256 not in (None, attributes.checksum):
        reason = f"its SHA-256 is {evidence.sha256}, its sidecar says {attributes.checksum}"
        yield _finding(evidence, "data_difference", reason)


def _finding(evidence: Evidence, kind: FindingKind, reason: str, *, key: str | None = None) -> Finding:
    file_id = file_id_of(evidence.key, evidence.sidecar)
    return Finding(
        kind=kind, key=key or evidence.key, file_id=None if file_id is None else str(file_id), reason=reason
    )
