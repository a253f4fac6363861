"""How roles, settings and plugins are joined: with which credentials a role calls the others."""

from pathlib import Path

import pytest

from artstore.cli.composition import role_credentials
from artstore.core.secrets import SecretsChain
from artstore.core.spec import UnavailableError
from artstore.plugins.secrets_file.backend import FileSecrets


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir(mode=0o700)
    return tmp_path / "secrets"


@pytest.mark.parametrize(("content", "mode"), [("no credentials", 0o600), ("id:secret", 0o644)])
async def test_why_credentials_cannot_be_used_is_for_the_operator_alone(
    directory: Path, content: str, mode: int
) -> None:
    (directory / "client-query").write_text(content)
    (directory / "client-query").chmod(mode)

    with pytest.raises(UnavailableError) as raised:
        await role_credentials("query", SecretsChain([FileSecrets(directory)]))

    assert raised.value.detail == "our own credentials cannot be used"


async def test_credentials_that_are_not_there_yet_are_named(directory: Path) -> None:
    with pytest.raises(UnavailableError, match="secret client-query is not there yet"):
        await role_credentials("query", SecretsChain([FileSecrets(directory)]))
