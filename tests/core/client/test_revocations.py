"""The list of what is revoked, and following it: through a shared cache, and whatever admin answers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from aiohttp import web

from artstore.core.client import revocations
from artstore.core.client.revocations import REVOCATIONS_PATH, RevocationFollower
from artstore.core.client.roles import open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.revocation import Revocation, RevocationList, RevocationPage, closed_client, whole_client
from artstore.core.spec import Cache, Principal, UnauthenticatedError, UnavailableError
from artstore.core.testing.context import plugin_context
from artstore.core.testing.listening import LoopbackServer
from artstore.plugins.cache_memory.backend import MemoryCache
from tests.services.admin.harness import eventually

NOW: Final = datetime.now(UTC)
Answer = Callable[[web.Request], Awaitable[web.Response]]


@pytest.fixture
def cache() -> Cache:
    return MemoryCache(plugin_context("cache_memory"), max_entries=10)


def principal(*, issued_at: datetime | None = NOW, token_id: str | None = "t-1") -> Principal:
    return Principal(
        "c-1", "service_account", "c-1", "billing", frozenset(), token_id=token_id, issued_at=issued_at
    )


async def is_refused(known: RevocationList, who: Principal) -> bool:
    try:
        await known.require_valid(who)
    except UnauthenticatedError:
        return True
    return False


def one_token(token_id: str, *, expires_in: float = 3600) -> Revocation:
    return Revocation(token_id=token_id, revoked_at=NOW, expires_at=NOW + timedelta(seconds=expires_in))


async def test_one_token_is_refused_and_no_other() -> None:
    known = RevocationList()
    known.add([one_token("t-1")])

    assert await is_refused(known, principal())
    assert not await is_refused(known, principal(token_id="t-2"))


async def test_a_client_is_refused_up_to_the_second_in_which_it_was_revoked() -> None:
    known = RevocationList()
    known.add([whole_client("c-1", at=NOW)])

    this_second = NOW.replace(microsecond=0)
    assert await is_refused(known, principal(issued_at=this_second))
    assert not await is_refused(known, principal(issued_at=this_second + timedelta(seconds=1)))


async def test_a_token_that_does_not_say_when_it_was_issued_is_refused_with_its_client() -> None:
    known = RevocationList()
    known.add([whole_client("c-1", at=NOW)])

    assert await is_refused(known, principal(issued_at=None, token_id=None))


async def test_a_suspended_client_is_refused_also_with_a_token_that_is_issued_meanwhile() -> None:
    known = RevocationList()
    known.add([closed_client("c-1", at=NOW)])

    assert await is_refused(known, principal(issued_at=NOW + timedelta(minutes=1)))


@pytest.mark.parametrize("in_order", [True, False])
async def test_the_later_of_two_words_about_a_client_holds(in_order: bool) -> None:
    suspended = closed_client("c-1", at=NOW)
    activated = whole_client("c-1", at=NOW + timedelta(seconds=10))
    words = [suspended, activated] if in_order else [activated, suspended]
    known = RevocationList()

    for word in words:
        known.add([word])

    assert not await is_refused(known, principal(issued_at=NOW + timedelta(seconds=20)))
    assert await is_refused(known, principal(issued_at=NOW))


async def test_what_nothing_can_need_any_more_is_forgotten() -> None:
    known = RevocationList()
    known.add([one_token("t-1", expires_in=-1), one_token("t-2")])

    known.add([])

    assert len(known) == 1
    assert await is_refused(known, principal(token_id="t-2"))


@asynccontextmanager
async def following(
    answer: Answer, *, known: RevocationList, cache: Cache
) -> AsyncGenerator[RevocationFollower, None]:
    """A follower of an admin that answers so."""

    async def issue(request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 1800})

    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    admin = web.Application()
    admin.router.add_post("/token", issue)
    admin.router.add_get(REVOCATIONS_PATH, answer)
    async with (
        LoopbackServer(admin) as server,
        open_role_client(token_url=str(server.make_url("/token")), credentials=credentials) as client,
    ):
        known.expect()
        follower = RevocationFollower(known, client, cache, admin_url=str(server.make_url("")).rstrip("/"))
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def tells(*pages: RevocationPage) -> Answer:
    """Answers with ``pages`` in turn, then waits for ever."""
    left = list(pages)

    async def answer(request: web.Request) -> web.Response:
        if not left:
            await asyncio.Event().wait()
        return web.Response(body=left.pop(0).model_dump_json(), content_type="application/json")

    return answer


async def fails(request: web.Request) -> web.Response:
    return web.Response(status=500)


async def knows(known: RevocationList, token_id: str) -> bool:
    return await is_refused(known, principal(token_id=token_id))


async def test_the_list_is_complete_only_with_its_last_page(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("artstore.core.revocation.FIRST_LIST_TIMEOUT", 0.5)
    first = RevocationPage(items=[one_token("t-1")], position="1-a", has_more=True)
    last = RevocationPage(items=[one_token("t-2")], position="2-b", has_more=False)
    known = RevocationList()

    async with following(tells(first), known=known, cache=cache):
        with pytest.raises(UnavailableError):
            await known.require_valid(principal(token_id="t-2"))
    async with following(tells(first, last), known=known, cache=cache):
        await eventually(lambda: knows(known, "t-2"))
        assert await knows(known, "t-1")


async def test_who_starts_without_admin_takes_the_list_from_the_cache(cache: Cache) -> None:
    page = RevocationPage(items=[one_token("t-1")], position="1-a", has_more=False)
    before, after = RevocationList(), RevocationList()
    async with following(tells(page), known=before, cache=cache):
        await eventually(lambda: knows(before, "t-1"))

    async with following(fails, known=after, cache=cache) as follower:
        assert await knows(after, "t-1")
        assert not await knows(after, "t-2")

        async def is_told() -> bool:
            try:
                await follower.check()
            except UnavailableError:
                return True
            return False

        await eventually(is_told)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"items": [{}], "position": "", "has_more": false}']
)
async def test_garbage_changes_nothing_and_is_asked_again(
    body: bytes, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "FIRST_PAUSE", 0.01)
    known = RevocationList()
    good = tells(RevocationPage(items=[one_token("t-1")], position="1-a", has_more=False))
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(body=body, content_type="application/json") if asked == 1 else await good(request)

    async with following(answer, known=known, cache=cache):
        await eventually(lambda: knows(known, "t-1"))
