"""What every secret provider must do, as tests its author runs by overriding two fixtures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from artstore.core.spec import AlreadyExistsError, InvalidRequestError, SecretProvider, SecretWriter

PutSecret = Callable[[str, bytes], Awaitable[None]]

LONGEST_NAME = "n" * 128


class SecretsContract:
    """Override ``secrets`` and ``put_secret``; who can write proves :class:`SecretWriterContract`."""

    can_write: ClassVar[bool] = False

    @pytest.fixture
    def secrets(self) -> SecretProvider:
        """The provider to prove, without any secret."""
        raise NotImplementedError("override this fixture")

    @pytest.fixture
    def put_secret(self) -> PutSecret:
        """Puts a secret where the provider finds it, the way its operator does."""
        raise NotImplementedError("override this fixture")

    async def test_an_unknown_name_has_no_secret(self, secrets: SecretProvider) -> None:
        assert await secrets.get("never-put") is None

    @pytest.mark.parametrize("name", ["a", "client-ingester", "key-2", "double--dash-", LONGEST_NAME])
    async def test_a_secret_is_found_by_its_name(
        self, secrets: SecretProvider, put_secret: PutSecret, name: str
    ) -> None:
        await put_secret(name, b"swordfish")

        found = await secrets.get(name)

        assert found is not None
        assert found.value == b"swordfish"

    async def test_names_that_resemble_each_other_are_different(
        self, secrets: SecretProvider, put_secret: PutSecret
    ) -> None:
        await put_secret("database", b"one")
        await put_secret("database-url", b"two")

        values = [await secrets.get(name) for name in ("database", "database-url", "databas")]

        assert [found and found.value for found in values] == [b"one", b"two", None]

    @pytest.mark.parametrize(
        "value",
        ["пароль".encode(), b"\xff\xfe\x80", b" spaces ", b"-----BEGIN KEY-----\nMIIE\n-----END KEY-----\n"],
        ids=["cyrillic", "not-utf-8", "spaces", "pem"],
    )
    async def test_a_value_is_given_byte_for_byte(
        self, secrets: SecretProvider, put_secret: PutSecret, value: bytes
    ) -> None:
        await put_secret("pepper", value)

        found = await secrets.get("pepper")

        assert found is not None
        assert found.value == value

    async def test_the_version_stays_while_the_secret_does(
        self, secrets: SecretProvider, put_secret: PutSecret
    ) -> None:
        await put_secret("pepper", b"swordfish")

        versions = [await secrets.get("pepper") for _ in range(2)]

        assert versions[0] == versions[1]

    async def test_a_secret_is_never_printed(self, secrets: SecretProvider, put_secret: PutSecret) -> None:
        await put_secret("pepper", b"swordfish")

        found = await secrets.get("pepper")

        assert found is not None
        assert "swordfish" not in f"{found!r} {found!s} {found.source} {found.version} {secrets!r}"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "1st",
            "-a",
            "Pepper",
            "a_b",
            "a.b",
            "a/b",
            "../pepper",
            "/etc/passwd",
            "a\n",
            "a\x00",
            "a b",
            "ключ",
            LONGEST_NAME + "n",
        ],
    )
    async def test_an_invalid_name_is_refused(self, secrets: SecretProvider, name: str) -> None:
        with pytest.raises(InvalidRequestError):
            await secrets.get(name)

    async def test_writing_is_offered_as_expected(self, secrets: SecretProvider) -> None:
        assert (secrets.writer is not None) == self.can_write


class SecretWriterContract(SecretsContract):
    """What a provider with the writing ability must do besides."""

    can_write = True

    @pytest.fixture
    def writer(self, secrets: SecretProvider) -> SecretWriter:
        """The writing ability of the provider."""
        assert secrets.writer is not None
        return secrets.writer

    async def test_a_created_secret_is_found(self, secrets: SecretProvider, writer: SecretWriter) -> None:
        created = await writer.create("pepper", b"\x00\xff\n")

        assert created.value == b"\x00\xff\n"
        assert await secrets.get("pepper") == created

    async def test_creating_never_replaces(self, secrets: SecretProvider, writer: SecretWriter) -> None:
        first = await writer.create("pepper", b"first")

        with pytest.raises(AlreadyExistsError):
            await writer.create("pepper", b"second")

        assert await secrets.get("pepper") == first

    async def test_one_of_many_creators_wins(self, secrets: SecretProvider, writer: SecretWriter) -> None:
        attempts = [writer.create("pepper", f"{number}".encode()) for number in range(20)]

        outcomes = await asyncio.gather(*attempts, return_exceptions=True)

        winners = [outcome for outcome in outcomes if not isinstance(outcome, AlreadyExistsError)]
        assert winners == [await secrets.get("pepper")]

    async def test_a_replaced_secret_is_another_version(
        self, secrets: SecretProvider, writer: SecretWriter
    ) -> None:
        first = await writer.create("pepper", b"first")

        second = await writer.replace("pepper", b"second")

        assert second.value == b"second"
        assert second.version != first.version
        assert await secrets.get("pepper") == second

    async def test_replacing_what_is_not_there_creates_it(
        self, secrets: SecretProvider, writer: SecretWriter
    ) -> None:
        await writer.replace("pepper", b"value")

        found = await secrets.get("pepper")
        assert found is not None
        assert found.value == b"value"

    async def test_readers_see_the_old_or_the_new_value_while_it_is_replaced(
        self, secrets: SecretProvider, writer: SecretWriter
    ) -> None:
        await writer.create("pepper", b"a" * 10_000)

        replaced, *seen = await asyncio.gather(
            writer.replace("pepper", b"b" * 10_000), *[secrets.get("pepper") for _ in range(20)]
        )

        assert replaced is not None
        assert {found and found.value for found in seen} <= {b"a" * 10_000, b"b" * 10_000}

    @pytest.mark.parametrize("name", ["", "../pepper", "a/b", "Pepper"])
    async def test_an_invalid_name_is_not_written(self, writer: SecretWriter, name: str) -> None:
        with pytest.raises(InvalidRequestError):
            await writer.create(name, b"value")
        with pytest.raises(InvalidRequestError):
            await writer.replace(name, b"value")
