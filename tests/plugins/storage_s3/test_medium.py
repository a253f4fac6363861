"""What stands on a service that fails, cuts and lies: the truth, or an error, and no harm to what was."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import ClassVar

import pytest

from artstore.core.spec import ArtStoreError, InsufficientStorageError, StorageBackend, UnavailableError
from artstore.core.testing import UnreliableMediumContract
from tests.plugins.storage_s3.conftest import OpenStorage
from tests.s3.misbehaving import MisbehavingService, reading, writing


class Faults:
    """Faults by name: ``puts`` or ``gets``, ``once`` where it meets one request, and the fault."""

    def __init__(self, service: MisbehavingService) -> None:
        self._service = service

    def fail(self, fault: str) -> None:
        kind, _, name = fault.partition(" ")
        once = name.startswith("once ")
        applies = writing if kind == "puts" else reading
        self._service.fail(name.removeprefix("once "), applies=applies, once=once)

    def heal(self) -> None:
        self._service.heal()


class TestMisbehavingService(UnreliableMediumContract):
    put_faults: ClassVar[Mapping[str, type[ArtStoreError] | None]] = {
        "puts once throttled": None,
        "puts lost answers": None,
        "puts throttled": UnavailableError,
        "puts silent": UnavailableError,
        "puts damaged": UnavailableError,
        "puts full": InsufficientStorageError,
    }
    get_faults: ClassVar[Sequence[str]] = (
        "gets once cut",
        "gets cut",
        "gets garbage",
        "gets ignored ranges",
        "gets other ranges",
    )
    reading_faults: ClassVar[Sequence[str]] = ("gets once cut", "gets cut", "gets silent")

    @pytest.fixture
    async def storage(
        self, open_storage: OpenStorage, service: MisbehavingService
    ) -> AsyncGenerator[StorageBackend, None]:
        options = {"endpoint_url": service.url, "probe": False, "attempts": 2, "read_timeout": 2}
        async with open_storage(**options) as storage:
            yield storage

    @pytest.fixture
    def medium(self, service: MisbehavingService) -> Faults:
        return Faults(service)


@pytest.mark.slow
class TestServiceWithEveryFault(TestMisbehavingService):
    put_faults: ClassVar[Mapping[str, type[ArtStoreError] | None]] = {
        "puts once reset": None,
        "puts once lost answers": None,
        "puts broken": UnavailableError,
        "puts reset": UnavailableError,
        "puts garbage": UnavailableError,
        "puts forbidden": UnavailableError,
        "puts without bucket": UnavailableError,
        "puts over quota": InsufficientStorageError,
    }
    get_faults: ClassVar[Sequence[str]] = (
        "gets once throttled",
        "gets throttled",
        "gets reset",
        "gets silent",
        "gets lost answers",
    )
    reading_faults: ClassVar[Sequence[str]] = ("gets once silent", "gets reset")
