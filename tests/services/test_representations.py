"""No object of running roles shows a secret, however it is looked at."""

import asyncio
from pathlib import Path
from typing import Final

from tests.representations import objects_of_artstore, secrets_shown
from tests.services.roles import Roles

HOLDERS: Final = {
    "ClientSecrets",
    "MasterKey",
    "OAuthAuthenticator",
    "Sealer",
    "SigningKeys",
    "TokenSource",
}


def secrets_of(data: Path) -> list[str]:
    """The secret part of each file."""
    texts = [path.read_text().strip() for path in (data / "secrets").iterdir()]
    return [text.partition(":")[2] if text.startswith("sa_") else text for text in texts]


async def test_no_object_of_the_four_roles_shows_a_secret(roles: Roles) -> None:
    of_other_tests = objects_of_artstore()
    admin = await roles.start("admin")
    element = await roles.start_element()
    await roles.start("ingester")
    query = await roles.start("query")
    for server, path in ((admin, "/api/v1/files"), (element, "/api/v1/files"), (query, "/api/v1/search?q=a")):
        assert (await roles.request("GET", server.url + path)).status == 200
        assert (await roles.request("GET", server.url + path, token="not-a-token")).status == 401

    secrets = await asyncio.to_thread(secrets_of, roles.data)
    others = set(map(id, of_other_tests))
    objects = [each for each in objects_of_artstore() if id(each) not in others]

    assert len(secrets) > 8
    assert {type(each).__qualname__ for each in objects} >= HOLDERS
    assert secrets_shown([*secrets, await roles.token()], by=objects) == set()
