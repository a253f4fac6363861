"""Settings: one TOML file, overridden by ``ARTSTORE__SECTION__KEY`` variables, frozen once read."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from artstore.core.capacity import CapacityThresholds
from artstore.core.logging import LogFormat, LogLevel
from artstore.core.modes import Mode
from artstore.core.protection import (
    LOOPBACK,
    ConnectionLimits,
    CorsSettings,
    Network,
    RateLimits,
    parse_address,
)
from artstore.core.secret_rotation import LOOK_INTERVAL
from artstore.core.spec import ConfigurationError
from artstore.core.tls.settings import TlsSettings
from artstore.core.validation import describe

ENVIRONMENT_PREFIX = "ARTSTORE__"
RoleName = Literal["admin", "element", "ingester", "query"]
PORT_OFFSETS: Mapping[RoleName, int] = {"admin": 0, "element": 10, "ingester": 20, "query": 30}

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def _web_address(text: str) -> str:
    """Without user information: addresses are logged."""
    if _WEB_ADDRESS.fullmatch(text) is None:
        raise ValueError("should be a URL such as https://archive.example")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PluginSection(BaseModel):
    """Selects a plugin by ``type``; every other key is an option of that plugin."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    type: Annotated[str, Field(description="Which plugin of this kind to use.")]

    @property
    def options(self) -> dict[str, Any]:
        """Everything but ``type``, as written."""
        return dict(self.model_extra or {})


class LoggingSettings(Section):
    """Logging, to standard error."""

    format: Annotated[LogFormat, Field(description="`auto`: text on a terminal, JSON lines otherwise.")] = (
        "auto"
    )
    level: Annotated[LogLevel, Field(description="The least severe level that is logged.")] = "info"


class ServerSettings(Section):
    """Limits that hold for every role's HTTP server."""

    shutdown_timeout: Annotated[
        float, Field(ge=0, description="Seconds that running requests get to finish on shutdown.")
    ] = 30
    stall_timeout: Annotated[
        float, Field(gt=0, description="Seconds without a byte after which an upload is aborted with 408.")
    ] = 30
    max_json_size: Annotated[int, Field(ge=KIB, description="Largest JSON request body, in bytes.")] = MIB
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(description="Networks of proxies whose X-Forwarded-For is believed; of nobody else."),
    ] = ()
    connections: ConnectionLimits = ConnectionLimits()
    rate_limits: RateLimits = RateLimits()
    cors: CorsSettings = CorsSettings()


class AuditSettings(Section):
    """The audit trail."""

    enabled: Annotated[
        bool,
        Field(description="Off only to measure what it costs: refused when `environment` is production."),
    ] = True
    spool: Annotated[
        Path,
        Field(description="Directory in which records wait until they are in the log; on a persistent disk."),
    ] = Path("audit")
    spool_size: Annotated[
        int,
        Field(
            ge=64 * KIB,
            description="Bytes that may wait there, per process; when it is full, changes are refused.",
        ),
    ] = GIB
    overdue_after: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds after which a change in admin's database whose record has not arrived, "
            "since its process was killed or its spool is lost, is recorded from what was written with it.",
        ),
    ] = 60
    checkpoint_interval: Annotated[
        float,
        Field(
            ge=1,
            description="Seconds after which a checkpoint of new records is signed.",
        ),
    ] = 3600
    checkpoint_records: Annotated[
        int, Field(ge=1, le=100_000, description="Records after which it is signed earlier.")
    ] = 10_000
    retention_days: Annotated[
        int, Field(ge=2555, description="Days for which records and checkpoints are kept.")
    ] = 2557


class RoleSettings(Section):
    """Where a role listens and where others find it."""

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="Default: `base_port` plus the role's offset.")
    ] = None
    url: Annotated[
        WebAddress | None,
        Field(
            description="URL under which others reach this role. Default: from host and port; for admin, "
            "where neither is set, the `issuer`."
        ),
    ] = None


class SigningKeySettings(Section):
    """The keys with which admin signs access tokens."""

    size: Annotated[Literal[2048, 3072], Field(description="Bits of the keys that admin generates.")] = 2048
    rotation_period: Annotated[
        float,
        Field(gt=0, le=168 * 3600, description="Seconds for which a key signs before the next one does."),
    ] = 86400
    jwks_lifetime: Annotated[
        int,
        Field(
            ge=1,
            le=86400,
            description="Seconds for which verifiers may keep the published keys; a new key waits a little "
            "longer before it signs. Not less than the `refetch_cooldown` of any role.",
        ),
    ] = 300

    @property
    def refresh_interval(self) -> float:
        """Seconds for which one process of admin believes what it has read of the keys."""
        return min(5.0, self.jwks_lifetime)


class PasswordSettings(Section):
    """Rules for the passwords of people."""

    min_length: Annotated[int, Field(ge=8, le=128, description="Characters.")] = 12
    min_strength: Annotated[
        int,
        Field(ge=0, le=4, description="How hard it is to guess, from 0 to 4 (zxcvbn)."),
    ] = 3
    max_age_days: Annotated[
        int, Field(ge=0, le=365, description="Days after which it must be changed; 0: never.")
    ] = 90
    warning_days: Annotated[
        int, Field(ge=0, le=90, description="Days before that from which its owner is warned.")
    ] = 14
    history: Annotated[
        int, Field(ge=0, le=24, description="Number of former passwords that cannot be reused.")
    ] = 5


class LoginSettings(Section):
    """How people log in, and for how long."""

    max_failures: Annotated[
        int, Field(ge=1, le=100, description="Wrong passwords after which a login is locked for a while.")
    ] = 5
    lockout_duration: Annotated[
        float, Field(ge=1, le=86400, description="Seconds for which it stays locked.")
    ] = 900
    session_lifetime: Annotated[
        int,
        Field(
            ge=300,
            le=90 * 86400,
            description="Seconds of inactivity after which a person must log in again.",
        ),
    ] = 7 * 86400


class AdminSettings(RoleSettings):
    """The admin role: issuer, accounts, registry, index."""

    token_lifetime: Annotated[
        int, Field(ge=60, le=86400, description="Seconds until an access token expires.")
    ] = 1800
    rate_limit: Annotated[
        int | None,
        Field(
            ge=1,
            description="Requests per minute that a token permits at each role; accounts of ArtStore "
            "itself are exempt, and a `rate_limit` of an account takes precedence. Default: no limit.",
        ),
    ] = None
    signing_keys: SigningKeySettings = SigningKeySettings()
    elements: Annotated[
        tuple[WebAddress, ...] | None,
        Field(
            description="URLs of storage elements that are registered at start, as soon as they answer. "
            "Default: the element of this file."
        ),
    ] = None

    allowed_networks: Annotated[
        tuple[Network, ...] | None,
        Field(
            description="Private networks in which storage elements may be that are registered while admin "
            "runs; those of the configuration may be anywhere. Default: this machine, if admin listens to "
            "no other."
        ),
    ] = None
    finalization_attempts: Annotated[
        int,
        Field(ge=1, description="Consecutive failures after which a finalization is abandoned and undone."),
    ] = 20
    source_removal_delay: Annotated[
        float,
        Field(
            ge=0,
            le=30 * 86400,
            description="Seconds for which the temporary copy of a finalized file is kept.",
        ),
    ] = 86400
    finalization_retention: Annotated[
        float,
        Field(ge=1, description="Days for which completed and undone finalizations are listed."),
    ] = 90
    passwords: PasswordSettings = PasswordSettings()
    logins: LoginSettings = LoginSettings()


class FixitySettings(Section):
    """How a storage element verifies that files are still what was stored."""

    period: Annotated[
        float, Field(gt=0, description="Seconds within which every file is reread and verified.")
    ] = 30 * 86400
    budget: Annotated[int, Field(ge=KIB, description="Most bytes per second to read for that.")] = 32 * MIB
    downloads_verified_for: Annotated[
        float,
        Field(
            ge=0,
            description="Seconds for which a local file that was hashed for a download, and not written to "
            "since, is not hashed for the next one.",
        ),
    ] = 60


class CollectionSettings(Section):
    """What a storage element removes by itself, and when."""

    interval: Annotated[
        float, Field(ge=0, description="Seconds between two runs; 0: only when an operator asks.")
    ] = 6 * 3600
    removal_delay: Annotated[
        float,
        Field(ge=0, description="Days for which the data of a deleted file are kept, to undelete it."),
    ] = 0
    tombstone_retention: Annotated[
        float,
        Field(
            ge=0, description="Days after which the tombstone of a deleted file is purged and its id is free."
        ),
    ] = 90
    orphan_grace: Annotated[
        float,
        Field(
            ge=0,
            description="Days for which data must have been seen without a sidecar before they are removed.",
        ),
    ] = 7
    clock_tolerance: Annotated[
        float,
        Field(
            gt=0,
            description="Hours by which the clock may differ from what must have passed; by more, nothing "
            "is removed until an operator confirms it. Files are removed this much later than they expire.",
        ),
    ] = 24
    limit_files: Annotated[
        int,
        Field(
            ge=0,
            description="A run that would remove more files than this is refused, unless the operator "
            "raises the limit for it.",
        ),
    ] = 1000
    limit_percent: Annotated[
        float, Field(ge=0, le=100, description="The same, in percent of the files of the element.")
    ] = 5


class ElementSettings(RoleSettings):
    """The storage element role."""

    element_id: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,49}$",
            description="Identity of the element, written into its root when that is created.",
        ),
    ] = "se-01"
    name: Annotated[str, Field(max_length=100, description="A name for people.")] = "storage element"
    mode: Annotated[
        Mode,
        Field(
            description="Mode of a new root. An existing root keeps its own; a different one here logs a "
            "warning."
        ),
    ] = "edit"
    priority: Annotated[int, Field(ge=0, description="Elements with a lower number are filled first.")] = 100
    adopt_root: Annotated[
        bool,
        Field(
            description="Adopt a root that has files but lost its element.json, in the `mode` set here. "
            "Remove this option afterwards."
        ),
    ] = False
    require_root: Annotated[
        bool,
        Field(description="Never create a new root: an unmounted medium looks like an empty one."),
    ] = False
    max_file_size: Annotated[int, Field(ge=1, description="Largest file, in bytes.")] = 1024 * GIB
    max_attributes_size: Annotated[
        int, Field(ge=4 * KIB, le=MIB, description="Largest sidecar, in bytes.")
    ] = 64 * KIB
    restored_days: Annotated[
        int,
        Field(ge=1, le=365, description="Days for which a restored copy of a file of this archive is kept."),
    ] = 30
    lease_ttl: Annotated[
        float,
        Field(
            ge=1,
            le=3600,
            description="Seconds for which the right to change the root is held without renewal. Another "
            "process that cannot see whether this one is alive waits as long.",
        ),
    ] = 30
    capacity: CapacityThresholds | None = Field(
        default=None, description="Thresholds of the capacity status. Default: by mode."
    )
    fixity: FixitySettings = FixitySettings()
    collection: CollectionSettings = CollectionSettings()


class IngesterSettings(RoleSettings):
    """The ingester role."""

    elements_refresh: Annotated[
        float, Field(gt=0, description="Seconds between checks of the registry of elements.")
    ] = 10


class QuerySettings(RoleSettings):
    """The query role."""

    position_timeout: Annotated[
        float, Field(ge=0, description="Seconds a search waits for `at_least` before it answers 503.")
    ] = 10


class Settings(Section):
    """Everything that can be configured."""

    environment: Annotated[
        Literal["development", "production"],
        Field(description="`production` refuses to start with unsafe settings."),
    ] = "development"
    base_port: Annotated[
        int, Field(ge=1, le=65000, description="Port of admin; the other roles follow at +10, +20, +30.")
    ] = 8000
    audience: Annotated[str, Field(description="The `aud` of this cluster's tokens.")] = "artstore"
    issuer: Annotated[str | None, Field(description="The `iss` of tokens. Default: the URL of admin.")] = None
    logging: LoggingSettings = LoggingSettings()
    server: ServerSettings = ServerSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = AuditSettings()
    admin: AdminSettings = AdminSettings()
    element: ElementSettings = ElementSettings()
    ingester: IngesterSettings = IngesterSettings()
    query: QuerySettings = QuerySettings()
    storage: PluginSection = PluginSection.model_validate({"type": "local", "root": "storage"})
    catalog: PluginSection = PluginSection.model_validate(
        {"type": "sqlite", "path": "storage/.artstore/catalog.db", "synchronous": "normal"}
    )
    metadata: PluginSection = PluginSection.model_validate({"type": "sqlite", "path": "index.db"})
    cache: PluginSection = PluginSection(type="memory")
    auth: PluginSection = PluginSection(type="oauth")
    secrets: tuple[PluginSection, ...] = (
        PluginSection(type="env"),
        PluginSection.model_validate({"type": "file", "directory": "secrets"}),
    )
    secrets_reload_interval: Annotated[
        float,
        Field(gt=0, le=3600, description="Seconds between checks of the secrets that open plugins refer to."),
    ] = LOOK_INTERVAL
    base_directory: Annotated[
        Path, Field(exclude=True, description="Relative paths start here: the directory of the file.")
    ] = Path()

    def role(self, role: RoleName) -> RoleSettings:
        """The section of one role."""
        section: RoleSettings = getattr(self, role)
        return section

    def port(self, role: RoleName) -> int:
        """The port a role listens on."""
        return self.role(role).port or self.base_port + PORT_OFFSETS[role]

    def url(self, role: RoleName) -> str:
        """The URL under which others reach a role, without a trailing slash."""
        issuer = self._issuer_address() if role == "admin" else None
        return (self.role(role).url or issuer or self._listening_url(role)).rstrip("/")

    def element_urls(self) -> tuple[str, ...]:
        """The storage elements that admin registers at start."""
        return (self.url("element"),) if self.admin.elements is None else self.admin.elements

    def element_networks(self) -> tuple[Network, ...]:
        """Where registered elements may be, besides public addresses."""
        if self.admin.allowed_networks is not None:
            return self.admin.allowed_networks
        address = parse_address(self.admin.host)
        is_local = self.admin.host == "localhost" or (address is not None and address.is_loopback)
        return LOOPBACK if is_local else ()

    def issuer_url(self) -> str:
        """The ``iss`` of tokens."""
        return (self.issuer or self.url("admin")).rstrip("/")

    def _issuer_address(self) -> str | None:
        """Where admin is if nothing but the issuer says it: its keys and metadata are there (RFC 8414)."""
        is_address = self.issuer is not None and self.issuer.startswith(("http://", "https://"))
        return self.issuer if is_address and not {"host", "port"} & self.admin.model_fields_set else None

    def _listening_url(self, role: RoleName) -> str:
        host = self.role(role).host
        # Who listens to all addresses of IPv6 listens to none of IPv4.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls.enabled else 'http'}://{host}:{self.port(role)}"


def read_settings(
    path: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = MappingProxyType({}),
) -> Settings:
    """Settings from ``path``, then the environment, then ``overrides`` (top-level keys).

    Raises:
        ConfigurationError: one line that names the file or variable and what to change.
    """
    document = _read_toml(path)
    sources = dict.fromkeys(document, str(path))
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _put(document, keys, _parse(value), source=name)
            sources[keys[0]] = name if keys[0] not in sources else f"{sources[keys[0]]} or {name}"
    if "base_directory" in document:
        raise ConfigurationError(f"base_directory: is unknown ({sources['base_directory']})")
    document.update(overrides)
    document["base_directory"] = path.resolve().parent
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(_one_line(error, sources)) from None


def environment_variable(name: str) -> str | None:
    """A variable outside the settings, such as the client's ``ARTSTORE_URL``; empty counts as unset."""
    return os.environ.get(name) or None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration file {path}; `artstore init` makes one"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None


def _put(document: dict[str, Any], keys: list[str], value: object, *, source: str) -> None:
    for key in keys[:-1]:
        section: object = document.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigurationError(f"{source} overrides a part of {key}, which is not a section")
        document = cast("dict[str, Any]", section)
    document[keys[-1]] = value


def _parse(value: str) -> Any:
    """A TOML value where the text is one (numbers, booleans, lists, tables), else the text itself."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _one_line(error: ValidationError, sources: Mapping[str, str]) -> str:
    faults = describe(error, Settings)
    return "; ".join(
        f"{path}: {message} ({sources.get(path.split('.')[0], 'configuration')})" for path, message in faults
    )
