"""Verifies an export of the audit log against checkpoints that storage elements kept, without any server."""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from artstore.core.audit.checkpoints import TAG, Checkpoint, read_public_key
from artstore.core.audit.export import read_line
from artstore.core.audit.sealing import Sealer
from artstore.core.audit.verification import Verification, Verifier
from artstore.core.spec import ConfigurationError


def verify_files(
    export: Path, *, checkpoints: Path | None, public_key: Path | None, audit_key: Path | None
) -> Verification:
    """Compare every line of ``export``.

    Raises:
        ConfigurationError: there is nothing to compare it with, or a file is not what it should be.
    """
    if audit_key is None and (checkpoints is None or public_key is None):
        raise ConfigurationError(
            "name what the export is to be compared with: --checkpoints and --public-key, or --audit-key"
        )
    verifier = Verifier(
        sealer=None if audit_key is None else Sealer(audit_key.read_bytes().strip()),
        public_key=None if public_key is None else _public_key(public_key),
        checkpoints=() if checkpoints is None else _checkpoints(checkpoints),
    )
    with export.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                verifier.add(read_line(line))
            except ValueError as error:
                verifier.blame(verifier.last_position + 1, f"cannot be read: line {number} is {error}")
    return verifier.finish()


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        return read_public_key(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{path} is not an Ed25519 public key in PEM") from error


def _checkpoints(directory: Path) -> Iterator[Checkpoint]:
    """Every checkpoint in the tree of folders, as a storage element lays them out, sidecars beside them."""
    found = False
    for path in sorted(directory.rglob(f"{TAG}-*.json")):
        if path.name.endswith(".attr.json"):
            continue
        found = True
        try:
            yield Checkpoint.from_json(path.read_bytes())
        except ValueError as error:
            raise ConfigurationError(f"{path} is not a checkpoint of the audit log") from error
    if not found:
        raise ConfigurationError(f"there are no checkpoints ({TAG}-….json) below {directory}")
