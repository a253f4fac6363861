"""What browsers are told about pages of other origins. Off unless origins are listed."""

import pytest
from pydantic import ValidationError

from artstore.core.protection import CorsSettings
from tests.core.http.serving import Said, Served, served

PAGE = "https://archive.example"
ALLOW = "Access-Control-Allow-Origin"


async def get(server: Served, *origins: str, path: str = "/health/live") -> Said:
    headers = "".join(f"Origin: {origin}\r\n" for origin in origins)
    return await server.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")


async def preflight(server: Served, origin: str, path: str = "/note") -> Said:
    return await server.ask(
        f"OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n"
        "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
    )


async def test_without_listed_origins_no_answer_speaks_of_them() -> None:
    async with served() as server:
        answers = [await get(server, PAGE), await preflight(server, PAGE)]

    assert [answer.status for answer in answers] == [200, 405]
    for answer in answers:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert "Vary" not in answer.headers


async def test_a_page_of_a_listed_origin_may_ask_and_call() -> None:
    async with served(cors={"origins": [PAGE]}) as server:
        asked = await preflight(server, PAGE)
        called = await get(server, PAGE)

    assert asked.status == 204
    assert asked.headers[ALLOW] == PAGE
    assert asked.headers["Access-Control-Allow-Methods"] == "PUT"
    assert asked.headers["Access-Control-Allow-Headers"] == (
        "Content-Type, Authorization, X-Request-ID, X-Trace-ID"
    )
    assert asked.headers["Access-Control-Max-Age"] == "600"
    assert (called.status, called.headers[ALLOW], called.headers["Vary"]) == (200, PAGE, "Origin")
    assert "X-Request-ID" in called.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in called.headers


async def test_a_page_may_read_why_it_was_refused() -> None:
    async with served(cors={"origins": [PAGE]}) as server:
        answer = await get(server, PAGE, path="/nowhere")

    assert (answer.status, answer.headers[ALLOW]) == (404, PAGE)


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        (PAGE, "null"),
        ("*", "null"),
        (PAGE, "https://archive.example.evil"),
        (PAGE, "http://archive.example"),
        (PAGE, ""),
    ],
)
async def test_other_pages_are_told_nothing_and_null_is_nobody(listed: str, origin: str) -> None:
    async with served(cors={"origins": [listed]}) as server:
        answers = [await get(server, origin), await preflight(server, origin)]

    assert [answer.status for answer in answers] == [200, 405]
    assert not any(ALLOW in answer.headers for answer in answers)
    assert answers[0].headers["Vary"] == "Origin"


async def test_two_origins_are_none() -> None:
    async with served(cors={"origins": [PAGE]}) as server:
        assert ALLOW not in (await get(server, PAGE, PAGE)).headers


async def test_every_page_may_call_where_that_is_wanted() -> None:
    async with served(cors={"origins": ["*"]}) as server:
        assert (await get(server, "https://any.example")).headers[ALLOW] == "*"


async def test_credentials_are_for_listed_origins() -> None:
    async with served(cors={"origins": [PAGE], "allow_credentials": True}) as server:
        answer = await get(server, PAGE)

    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    with pytest.raises(ValidationError, match="needs origins that are listed"):
        CorsSettings(origins=("*",), allow_credentials=True)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "archive.example",
        "https://archive.example/",
        "https://*.example",
        "https://Archive.example",
        "https://archive.example:443",
        "https://user@archive.example",
        "file:///etc",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="should be an origin"):
        CorsSettings(origins=(origin,))


async def test_a_wildcard_of_headers_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    async with served(cors={"origins": [PAGE], "headers": ["*"]}) as server:
        assert (await preflight(server, PAGE)).headers["Access-Control-Allow-Headers"] == "*"

    assert "cors_allows_every_header" in capsys.readouterr().out
