"""Signed checkpoints: what the log was at a moment, for whoever has the public key and no secret."""

from typing import Annotated, Final, Literal, Self
from uuid import UUID, uuid5

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import Timestamp
from artstore.core.audit.merkle import MerkleTree
from artstore.core.audit.record import canonical
from artstore.core.spec import ConfigurationError

SIGNING_KEY: Final = "audit-signing-key"
"""Name of the secret: an Ed25519 private key, PEM."""

TAG: Final = "audit-checkpoint"
"""Tag of the documents on storage elements, and the start of their names."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CheckpointBody(BaseModel):
    """What is signed.

    ``subtrees`` are the roots of the complete subtrees of the hash tree over the first ``size`` records,
    ``root`` is the hash of all; ``leaves`` are the leaf hashes of the records since the checkpoint before,
    so that the very record that was changed can be named without the audit key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["artstore-audit-checkpoint/1"] = "artstore-audit-checkpoint/1"
    log_id: UUID
    number: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=1)]
    root: Hash
    subtrees: list[Hash]
    last_mac: Hash
    leaves: list[Hash]
    created_at: Timestamp

    def tree(self) -> MerkleTree:
        """The tree of its records.

        Raises:
            ValueError: the subtrees are not those of a tree of this size.
        """
        return MerkleTree(self.size, (bytes.fromhex(subtree) for subtree in self.subtrees))

    @property
    def first(self) -> int:
        """Position of the first record whose leaf it has."""
        return self.size - len(self.leaves) + 1


class Checkpoint(CheckpointBody):
    """A checkpoint with its signature over the canonical JSON of all other fields (Ed25519, RFC 8032)."""

    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @classmethod
    def from_json(cls, document: bytes) -> Self:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        return cls.model_validate_json(document)

    def to_json(self) -> bytes:
        return canonical(self.model_dump(mode="json"))

    def is_signed_by(self, public_key: Ed25519PublicKey) -> bool:
        """Whether the signature is right, and the tree that of the root."""
        body = canonical(self.model_dump(mode="json", exclude={"signature"}))
        try:
            public_key.verify(bytes.fromhex(self.signature), body)
            return self.tree().root().hex() == self.root
        except (InvalidSignature, ValueError):
            return False

    @property
    def file_id(self) -> UUID:
        """Under which storage elements keep it."""
        return checkpoint_file_id(self.log_id, self.number)


def checkpoint_file_id(log_id: UUID, number: int) -> UUID:
    """The one file id of a log's checkpoint of this number: a second, different one is refused there."""
    return uuid5(log_id, str(number))


class CheckpointSigner:
    """Signs with the private key of the secret. Has no repr of it.

    Raises:
        ConfigurationError: the secret is no Ed25519 private key.
    """

    def __init__(self, pem: bytes, *, source: str) -> None:
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"secret {SIGNING_KEY!r} ({source}) is no Ed25519 private key in PEM")
        self._key = key

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def sign(self, body: CheckpointBody) -> Checkpoint:
        fields = body.model_dump(mode="json")
        signature = self._key.sign(canonical(fields)).hex()
        return Checkpoint.model_validate({**fields, "signature": signature})


def new_signing_key() -> bytes:
    """A private key for the secret."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key_text(key: Ed25519PublicKey) -> str:
    """The public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """What :func:`public_key_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key")
    return key
