"""The parts of the audit log, joined, with the keys that every start makes sure of."""

from dataclasses import dataclass
from datetime import timedelta

from artstore.core.audit.checkpoints import (
    SIGNING_KEY,
    CheckpointSigner,
    new_signing_key,
    public_key_text,
)
from artstore.core.audit.sealing import AUDIT_KEY, Sealer
from artstore.core.audit.spool import Spool
from artstore.core.client.roles import RoleClient
from artstore.core.config import AuditSettings
from artstore.core.metrics import Metrics
from artstore.core.secrets import SecretsChain
from artstore.core.spec import Database
from artstore.core.stores.audit import AuditStore
from artstore.core.stores.audit_checkpoints import CheckpointsStore
from artstore.core.stores.audit_due import DueStore
from artstore.core.stores.elements import ElementsStore
from artstore.services.admin.audit_keeper import AuditKeeper, Schedule
from artstore.services.admin.audit_log import AuditLog
from artstore.services.admin.audit_metrics import CheckpointMetrics
from artstore.services.admin.audit_verification import AuditVerification
from artstore.services.admin.bootstrap import required_secret
from artstore.services.admin.checkpoint_shelf import CheckpointShelf


@dataclass(frozen=True, slots=True)
class Audit:
    """What routes and jobs work with. ``public_key`` is PEM."""

    log: AuditLog
    checkpoints: CheckpointsStore
    verification: AuditVerification
    keeper: AuditKeeper
    public_key: str


async def make_audit(
    settings: AuditSettings,
    *,
    secrets: SecretsChain,
    database: Database,
    client: RoleClient,
    metrics: Metrics,
    own_spool: Spool | None,
) -> Audit:
    """Join the parts.

    Raises:
        ConfigurationError: a key is missing, too short, or no key.
    """
    sealer = Sealer(await required_secret(secrets, AUDIT_KEY))
    key = await secrets.get_or_create(SIGNING_KEY, new_signing_key())
    signer = CheckpointSigner(key.value, source=key.source)
    store, checkpoints = AuditStore(database, sealer), CheckpointsStore(database)
    retention = timedelta(days=settings.retention_days)
    shelf = CheckpointShelf(ElementsStore(database), client, keep_for=retention)
    log = AuditLog(store, own_spool)
    return Audit(
        log=log,
        checkpoints=checkpoints,
        verification=AuditVerification(
            store, checkpoints, shelf, sealer=sealer, public_key=signer.public_key
        ),
        keeper=AuditKeeper(
            log,
            store,
            DueStore(database),
            checkpoints,
            shelf,
            sealer=sealer,
            signer=signer,
            schedule=Schedule(
                records=settings.checkpoint_records,
                interval=timedelta(seconds=settings.checkpoint_interval),
                retention=retention,
                overdue=timedelta(seconds=settings.overdue_after),
            ),
            metrics=CheckpointMetrics(metrics.registry),
        ),
        public_key=public_key_text(signer.public_key),
    )
