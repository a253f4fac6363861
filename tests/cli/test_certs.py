"""`artstore certs` and `artstore up --tls`: an authority of one's own, by commands alone."""

import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from artstore.cli import certs
from artstore.cli.authority import Authority
from artstore.core.spec import ConfigurationError
from tests.cli.commands import failure, put_one
from tests.cli.somebody import Somebody
from tests.cluster import OFFSETS, Cluster, artstore, request, run_artstore, running_cluster
from tests.core.tls.certificates import write_certificate
from tests.forked import UNMEASURED


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that was started with `--tls`, and looks at its files often."""
    data = tmp_path_factory.mktemp("secured") / "data"
    cluster = Cluster(data, tls=True)
    try:
        yield cluster.start(environment=UNMEASURED | {"ARTSTORE__TLS__RELOAD_INTERVAL": "0.2"})
    finally:
        cluster.kill()


def _shown(cluster: Cluster) -> dict[str, dict[str, Any]]:
    listed = json.loads(run_artstore("certs", "show", "--json", "--data", str(cluster.data)).stdout)
    return {each["name"]: each for each in listed["certificates"]}


def _certs(cluster: Cluster, *arguments: str) -> None:
    run_artstore("certs", *arguments, "--data", str(cluster.data))


def test_up_with_tls_needs_no_other_step(secured: Cluster, document: Path, tmp_path: Path) -> None:
    file_id = put_one(secured, document)
    secured.command("get", file_id, "-o", str(tmp_path / "got"))

    assert (tmp_path / "got").read_bytes() == document.read_bytes()
    assert (secured.data / "admin-url").read_text().startswith("https://")
    for role in OFFSETS:
        assert request("GET", secured.url(role, "/health/ready"), context=secured.ssl_context()).status == 200


def test_people_log_in_over_it_as_the_directory_trusts_it(secured: Cluster, tmp_path: Path) -> None:
    somebody = Somebody(tmp_path, secured)
    first = (secured.data / "secrets/admin-password").read_text()
    data = ("--data", str(secured.data))
    passwords = f"{first}\nWet-Cabbage7-orbit\n"

    somebody.succeed("change-password", *data, "-u", "admin", "--password-stdin", typed=passwords)
    somebody.log_in("admin", "Wet-Cabbage7-orbit")

    assert somebody.succeed("whoami") == f"admin (person, super_admin) at {secured.url('admin')}\n"


def test_nobody_without_a_certificate_gets_in(secured: Cluster) -> None:
    for role in OFFSETS:
        with pytest.raises(OSError):  # noqa: PT011 - how it is told differs from platform to platform
            request("GET", secured.url(role, "/health/live"), context=secured.ssl_context(client=None))


def test_an_application_may_ask_the_ingester_but_not_an_element(secured: Cluster) -> None:
    _certs(secured, "issue", "invoices")
    context = secured.ssl_context("invoices")
    headers = {"Authorization": f"Bearer {secured.token()}"}

    answers = {
        role: request("GET", secured.url(role, path), headers=headers, context=context).status
        for role, path in (
            ("ingester", "/health/live"),
            ("query", "/api/v1/search?q=x"),
            ("element", "/api/v1/info"),
        )
    }

    assert answers == {"ingester": 200, "query": 200, "element": 403}


def test_what_was_decided_by_a_certificate_is_in_the_audit_log(secured: Cluster) -> None:
    _certs(secured, "issue", "curious")
    headers = {"Authorization": f"Bearer {secured.token()}"}
    context = secured.ssl_context("curious")
    request("GET", secured.url("element", "/api/v1/info"), headers=headers, context=context)

    def denied() -> list[dict[str, Any]]:
        page = secured.request("admin", "GET", "/api/v1/audit-log?outcome=denied&limit=1000").json()
        records = [item["record"] for item in page["items"]]
        return [
            record for record in records if record.get("detail", {}).get("certificate_names") == "curious"
        ]

    _wait_until(lambda: bool(denied()))
    [record] = denied()
    assert (record["kind"], record["role"], record["status"]) == ("authorization", "element", 403)
    assert record["detail"]["certificate"] == "refused"
    allowed = secured.request("admin", "GET", "/api/v1/audit-log?outcome=allowed&limit=1000").json()["items"]
    assert "administrator-client" in {
        item["record"].get("detail", {}).get("certificate_names") for item in allowed
    }


def test_private_things_are_readable_by_their_owner_only(secured: Cluster) -> None:
    certs = secured.data / "certs"

    assert certs.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in certs.glob("*.key"))
    assert {path.stem for path in certs.glob("*.key")} >= {"ca", *OFFSETS, "administrator-client"}


def test_show_tells_what_there_is(secured: Cluster) -> None:
    shown = _shown(secured)

    assert shown["ca"]["for"] == "authority"
    assert shown["element"]["for"] == "server"
    assert {"element", "localhost", "127.0.0.1", "::1"} <= set(shown["element"]["hosts"])
    assert (shown["query-client"]["for"], shown["query-client"]["state"]) == ("client", "valid")


def test_renewed_certificates_are_taken_up_without_a_restart(secured: Cluster, document: Path) -> None:
    before = _shown(secured)

    _certs(secured, "renew", "--days", "100")

    after = _shown(secured)
    assert all(
        after[name]["serial_number"] != before[name]["serial_number"] for name in before if name != "ca"
    )
    assert after["element"]["hosts"] == before["element"]["hosts"]
    _wait_until(lambda: _serial_number(secured) == after["admin"]["serial_number"])
    put_one(secured, document)


def test_a_revoked_application_is_refused_and_a_renewed_one_welcome(secured: Cluster) -> None:
    _certs(secured, "issue", "leaver")

    def gets_in() -> bool:
        url = secured.url("ingester", "/health/live")
        try:
            return request("GET", url, context=secured.ssl_context("leaver")).status == 200
        except OSError:
            return False

    assert gets_in()
    _certs(secured, "revoke", "leaver")
    assert _shown(secured)["leaver"]["state"] == "revoked"
    _wait_until(lambda: not gets_in())
    _certs(secured, "renew", "leaver")
    assert gets_in()


def test_of_clients_that_are_revoked_at_once_none_is_forgotten(secured: Cluster) -> None:
    names = [f"temp-{number}" for number in range(6)]
    for name in names:
        Authority(secured.data / "certs").issue(name, "client")

    with ThreadPoolExecutor(len(names)) as operators:
        list(operators.map(certs.revoke, names, repeat(secured.data)))

    shown = _shown(secured)
    assert {shown[name]["state"] for name in names} == {"revoked"}


def test_a_renewal_that_finds_no_room_leaves_certificate_and_key_a_pair(secured: Cluster) -> None:
    pair = [secured.data / "certs" / f"element.{suffix}" for suffix in ("crt", "key")]
    before = [path.read_bytes() for path in pair]

    # There is room for the key, and none for the certificate.
    refused = _with_files_of_512_bytes("certs", "renew", "element", "--data", str(secured.data))

    assert "File too large" in failure(refused, code=1)
    assert [path.read_bytes() for path in pair] == before
    assert not list(pair[0].parent.glob("*.new"))


def test_a_start_that_finds_no_room_leaves_no_half_of_a_configuration(tmp_path: Path) -> None:
    refused = _with_files_of_512_bytes("init", str(tmp_path / "data"))

    assert "File too large" in failure(refused, code=2)
    assert not list((tmp_path / "data").iterdir())


def _with_files_of_512_bytes(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command where no file can be larger, as on a disk that is full."""
    return subprocess.run(
        ["prlimit", "--fsize=512", artstore(), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | UNMEASURED,
    )


def test_names_of_servers_are_written_as_clients_ask_for_them(secured: Cluster) -> None:
    authority = Authority(secured.data / "certs")

    authority.issue("books", "server", hosts=["bücher.example", "*.archive.example", "fd00::1"])

    assert _shown(secured)["books"]["hosts"] == [
        "books",
        "xn--bcher-kva.example",
        "*.archive.example",
        "fd00::1",
    ]
    for host in ("has space", "https://archive.example", "archive.example:8000", "", "a..b"):
        with pytest.raises(ConfigurationError, match="neither the name of a host nor an address"):
            authority.issue("strange", "server", hosts=[host])


def test_a_certificate_of_somebody_else_is_shown_too(secured: Cluster) -> None:
    write_certificate(secured.data / "certs", "guest")
    (secured.data / "certs" / "guest.key").unlink()  # is with the guest

    assert _shown(secured)["guest"]["for"] == "any"


def test_the_environment_names_certificates_of_a_client_elsewhere(secured: Cluster, tmp_path: Path) -> None:
    client_id, secret = secured.credentials()
    certs = secured.data / "certs"
    environment = {
        "ARTSTORE_URL": secured.url("admin"),
        "ARTSTORE_CLIENT_ID": client_id,
        "ARTSTORE_CLIENT_SECRET": secret,
        "ARTSTORE_CA_CERT_FILE": str(certs / "ca.crt"),
        "ARTSTORE_CLIENT_CERT_FILE": str(certs / "administrator-client.crt"),
        "ARTSTORE_CLIENT_KEY_FILE": str(certs / "administrator-client.key"),
    }

    run_artstore("ls", cwd=tmp_path, environment=environment)
    untrusting = {
        name: value for name, value in environment.items() if "CERT" not in name and "KEY" not in name
    }
    refused = run_artstore("ls", cwd=tmp_path, environment=untrusting, check=False)

    assert "self-signed certificate in certificate chain" in failure(refused, code=1)


def test_what_is_there_is_not_made_again(secured: Cluster) -> None:
    data = ("--data", str(secured.data))

    again = run_artstore("certs", "init", *data, check=False)
    taken = run_artstore("certs", "issue", "admin", *data, check=False)
    nobody = run_artstore("certs", "renew", "nobody", *data, check=False)
    strange = run_artstore("certs", "issue", "../x", *data, check=False)

    assert "there is an authority in" in failure(again, code=2)
    assert "there is a certificate admin already" in failure(taken, code=2)
    assert "there is no certificate" in failure(nobody, code=2)
    assert "cannot be a name" in failure(strange, code=2)


def test_the_key_of_the_authority_may_be_kept_elsewhere(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    run_artstore("certs", "init", *data)
    (tmp_path / "certs" / "ca.key").rename(tmp_path / "away")

    run_artstore("certs", "show", *data)
    refused = run_artstore("certs", "issue", "invoices", *data, check=False)

    assert "bring it back from where it is kept" in failure(refused, code=2)


def test_what_the_configuration_says_is_not_overruled(tmp_path: Path) -> None:
    run_artstore("init", str(tmp_path / "data"))
    config = tmp_path / "data" / "artstore.toml"
    config.write_text(f"{config.read_text()}\n[tls]\nenabled = false\n")

    refused = run_artstore("up", "--tls", "--data", str(tmp_path / "data"), check=False)

    assert "[tls] in" in failure(refused, code=2)
    assert not (tmp_path / "data" / "certs").exists()


@pytest.mark.slow
def test_a_cluster_that_was_plain_serves_its_files_with_tls(tmp_path: Path, document: Path) -> None:
    with running_cluster(tmp_path / "data") as plain:
        file_id = put_one(plain, document)
        plain.stop()

    with running_cluster(tmp_path / "data", tls=True) as secured:
        secured.command("get", file_id, "-o", str(tmp_path / "got"))

    assert (tmp_path / "got").read_bytes() == document.read_bytes()


def _serial_number(cluster: Cluster) -> str:
    pem = ssl.get_server_certificate(("127.0.0.1", cluster.base_port + OFFSETS["admin"]))
    return f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}"


def _wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.2)
