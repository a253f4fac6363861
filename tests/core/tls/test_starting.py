"""What cannot be used ends the start with one line that says what to change."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from artstore.cli.authority import Authority
from artstore.core.spec import ConfigurationError
from artstore.core.tls.settings import TlsSettings
from artstore.core.validation import describe
from tests.cluster import run_artstore
from tests.core.tls.certificates import DAY, encrypt_key, write_certificate, write_list
from tests.core.tls.harness import TlsServer

Damage = Callable[[Path], object]


def _missing(certs: Path) -> None:
    (certs / "ingester.crt").unlink()


def _garbage(name: str) -> Damage:
    return lambda certs: (certs / name).write_text("no PEM")


def _copied(source: str, target: str) -> Damage:
    return lambda certs: (certs / target).write_bytes((certs / source).read_bytes())


def _encrypted(certs: Path) -> None:
    encrypt_key(certs / "ingester.key")


def _expired(certs: Path) -> None:
    write_certificate(certs, "ingester", valid_from=-2 * DAY, valid_until=-DAY)


def _of_tomorrow(certs: Path) -> None:
    write_certificate(certs, "ingester", valid_from=DAY, valid_until=2 * DAY)


def _other_authority(certs: Path) -> None:
    other = Authority(certs / "other")
    other.create()
    (certs / "crl.pem").write_bytes((certs / "other" / "crl.pem").read_bytes())


def _for_clients(certs: Path) -> None:
    for suffix in ("crt", "key"):
        _copied(f"query-client.{suffix}", f"ingester.{suffix}")(certs)


def _damaged_inside(certs: Path) -> None:
    write_certificate(certs, "ingester", damaged_names=True)


def _pipe(certs: Path) -> None:
    (certs / "crl.pem").unlink()
    os.mkfifo(certs / "crl.pem")


def _list_of_tomorrow(certs: Path) -> None:
    write_list(certs, valid_from=DAY)


def _list_of_changes(certs: Path) -> None:
    write_list(certs, is_delta=True)


def _list_of_the_other_authority(certs: Path) -> None:
    _other_authority(certs)
    with (certs / "ca.crt").open("ab") as trusted:
        trusted.write((certs / "other" / "ca.crt").read_bytes())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_missing, "[tls] cert_file: cannot read {certs}/ingester.crt: No such file or directory"),
        (_garbage("ingester.crt"), "[tls] cert_file: {certs}/ingester.crt has no readable certificate (PEM)"),
        (_garbage("ingester.key"), "[tls] key_file: {certs}/ingester.key has no readable private key (PEM)"),
        (_garbage("ca.crt"), "[tls] ca_cert_file: {certs}/ca.crt has no readable certificate (PEM)"),
        (_garbage("crl.pem"), "[tls] crl_file: {certs}/crl.pem has no revocation list (PEM)"),
        (
            _garbage("ingester-client.key"),
            "[tls] client_key_file: {certs}/ingester-client.key has no readable",
        ),
        (
            _copied("query.key", "ingester.key"),
            "[tls] key_file: {certs}/ingester.key is not the key of cert_file: {certs}/ingester.crt",
        ),
        (_copied("query.crt", "ca.crt"), "[tls] ca_cert_file: {certs}/ca.crt: query is no authority"),
        (_encrypted, "{certs}/ingester.key is encrypted"),
        (
            _expired,
            "[tls] cert_file: {certs}/ingester.crt: ingester has expired on ",
        ),
        (
            _of_tomorrow,
            "[tls] cert_file: {certs}/ingester.crt: ingester is valid only from ",
        ),
        (_for_clients, "[tls] cert_file: {certs}/ingester.crt: query-client is not for servers"),
        (_damaged_inside, "[tls] cert_file: {certs}/ingester.crt has something in it that cannot be unders"),
        (_pipe, "[tls] crl_file: {certs}/crl.pem is not a regular file"),
        (_other_authority, "[tls] crl_file: {certs}/crl.pem is not signed by an authority of ca_cert_file"),
        (_list_of_tomorrow, "[tls] crl_file: {certs}/crl.pem is valid only from "),
        (_list_of_changes, "[tls] crl_file: {certs}/crl.pem has a critical extension, 2.5.29.27, that is"),
        (
            _list_of_the_other_authority,
            "[tls] crl_file: {certs}/crl.pem has no list of ArtStore CA, which issued ingester:",
        ),
    ],
)
async def test_files_that_cannot_be_used(server: TlsServer, damage: Damage, told: str) -> None:
    await asyncio.to_thread(damage, server.certs)

    with pytest.raises(ConfigurationError) as refused:
        await server.start()

    assert told.format(certs=server.certs) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ciphers": ["TLS_AES_256_CBC"]}, "'TLS_AES_256_CBC' is not one of TLS_AES_128_GCM_SHA256, "),
        (
            {"ciphers": ["ECDHE-RSA-AES256-SHA"], "protocol_version": "1.2"},
            "which encrypt with authentication and forward secrecy",
        ),
        ({"ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"]}, "is of TLS 1.2, but protocol_version"),
        (
            {"ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"], "protocol_version": "1.2"},
            "none is of TLS 1.3; add one of",
        ),
        (
            {"ciphers": ["TLS_AES_256_GCM_SHA384"], "protocol_version": "1.2"},
            "none is of TLS 1.2, which protocol_version allows; add one of",
        ),
        (
            {"client_names": {"ingester": [{"path": "/api/internal/.*", "names": ["query-client"]}]}},
            "the path '/api/internal/.*' matches no route of the role, and would protect nothing",
        ),
    ],
)
async def test_settings_that_protect_less_than_they_say(
    server: TlsServer, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^\[tls\] ") as refused:
        await server.start(**settings)

    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


async def test_notes_that_tools_write_before_a_key_do_not_make_it_a_path(server: TlsServer) -> None:
    key = await asyncio.to_thread((server.certs / "ingester.key").read_text)

    await server.start(key_file=f"Bag Attributes\n    localKeyID: 01\n{key}")

    assert (await server.get()).status == 200


@pytest.mark.parametrize("key", ["MHcCAQEEIAdeep+secret\nbase64==\n", "x" * 5000, "a\0b", ""])
def test_a_key_that_is_neither_pem_nor_a_path_is_not_told(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TlsSettings.model_validate({"cert_file": "x", "key_file": key})

    [told] = describe(refused.value, TlsSettings)
    assert told == ("key_file", "should be PEM, or a path")


@pytest.mark.parametrize("key", [3, {"secrt": "tls-key"}, {"secret": 3}, {}])
def test_a_key_of_another_kind_is_told_what_it_may_be(key: object) -> None:
    with pytest.raises(ValidationError) as refused:
        TlsSettings.model_validate({"cert_file": "x", "key_file": key})

    [told] = describe(refused.value, TlsSettings)
    assert told == ("key_file", 'should be PEM, a path, or { secret = "NAME" }')


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"key_file": None}, "cert_file and key_file are required when TLS is enabled"),
        ({"client_key_file": None}, "client_cert_file and client_key_file belong together"),
        ({"ca_cert_file": None, "crl_file": None}, 'verify_mode = "required" needs ca_cert_file'),
        ({"verify_mode": "none", "ca_cert_file": None}, "crl_file needs ca_cert_file"),
        (
            {
                "verify_mode": "none",
                "client_names": {"ingester": [{"path": "/health/live", "names": ["x"]}]},
            },
            "client_names need a verify_mode other than none, or trusted_proxies",
        ),
        ({"client_names": {"query": [{"path": "(", "names": ["x"]}]}}, "is no regular expression"),
    ],
)
async def test_settings_that_do_not_fit_together(
    server: TlsServer, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(ValidationError, match="tls") as refused:
        await server.start(**settings)

    assert told in str(refused.value)


def test_the_command_says_it_in_one_line_and_ends(tmp_path: Path, issued: Path) -> None:
    run_artstore("init", str(tmp_path))
    config = tmp_path / "artstore.toml"
    section = f'[tls]\nenabled = true\ncert_file = "{issued}/query.crt"\nkey_file = "{issued}/admin.key"\n'
    config.write_text(f"{config.read_text()}\n{section}")

    completed = run_artstore("run", "query", "--config", str(config), check=False)

    assert completed.returncode == 2
    assert completed.stderr.splitlines()[-1] == (
        f"error: [tls] key_file: {issued}/admin.key is not the key of cert_file: {issued}/query.crt"
    )
    assert "Traceback" not in completed.stderr
