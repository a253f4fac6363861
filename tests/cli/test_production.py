"""`environment = "production"`: what is not safe does not start, and is told all at once."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cluster import run_artstore

SAFE = """\
environment = "production"
base_port = 9100
issuer = "https://archive.example/admin"

[admin]
url = "https://archive.example/admin"
elements = ["https://archive.example/element"]
[element]
url = "https://archive.example/element"
[ingester]
url = "https://archive.example/ingester"
[query]
url = "https://archive.example/query"
"""


def refusal(completed: "CompletedProcess[str]") -> str:
    """All that a refused command prints: a line that says what of, and one for each finding."""
    assert completed.returncode == 2
    assert completed.stdout == ""
    assert completed.stderr.startswith("error: ")
    return completed.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration behind a proxy of the same machine, which speaks TLS."""
    path = tmp_path / "production" / "artstore.toml"
    path.parent.mkdir(mode=0o700)
    path.write_text(SAFE)
    path.chmod(0o600)
    return path


def test_what_is_safe_can_be_used(config: Path) -> None:
    run_artstore("config", "check", "--config", str(config))


def test_with_tls_of_its_own_it_may_listen_to_the_network(config: Path) -> None:
    config.write_text(
        'environment = "production"\nadmin.host = "0.0.0.0"\n'
        '[tls]\nenabled = true\ncert_file = "certs/{role}.crt"\nkey_file = "certs/{role}.key"\n'
    )

    run_artstore("config", "check", "--config", str(config))


def test_everything_unsafe_is_told_at_once(config: Path) -> None:
    unsafe = {
        "ARTSTORE__ADMIN__URL": "http://archive.example",
        "ARTSTORE__ISSUER": "http://archive.example",
        "ARTSTORE__ADMIN__ELEMENTS": '["http://element.example"]',
        "ARTSTORE__ELEMENT__HOST": "0.0.0.0",
        "ARTSTORE__LOGGING__LEVEL": "debug",
        "ARTSTORE__AUDIT__ENABLED": "false",
        "ARTSTORE__SERVER__CORS": '{origins = ["*"]}',
        "ARTSTORE__SERVER__RATE_LIMITS": "{credentials = 0, failures = 0}",
        "ARTSTORE__SERVER__TRUSTED_PROXIES": '["0.0.0.0/1"]',
        "ARTSTORE__ADMIN__ALLOWED_NETWORKS": '["0.0.0.0/0"]',
        "ARTSTORE__AUTH": '{type = "oauth", jwks_url = "http://keys.example/jwks.json"}',
        "ARTSTORE__TLS__TRUSTED_PROXIES": '["::/0"]',
        "ARTSTORE__STORAGE": '{type = "s3", bucket = "docs", '
        'access_key_id = "AKIA", secret_access_key = "hunter2", endpoint_url = "http://s3.example"}',
    }
    secret = config.parent / "secrets" / "master-key"
    secret.parent.mkdir()
    secret.write_text("x" * 32)
    secret.chmod(0o644)
    secret.parent.chmod(0o777)
    key = config.parent / "certs" / "ca.key"
    key.parent.mkdir()
    key.touch(mode=0o644)
    config.chmod(0o666)

    completed = run_artstore("config", "check", "--config", str(config), check=False, environment=unsafe)

    told = refusal(completed)
    for finding in (
        "admin.url is http://archive.example",
        "issuer is http://archive.example",
        "admin.elements has http://element.example",
        "element.host is 0.0.0.0",
        "logging.level is debug",
        "audit.enabled is false",
        "server.cors.origins has *",
        "server.rate_limits.credentials is 0",
        "server.rate_limits.failures is 0",
        "server.trusted_proxies has 0.0.0.0/1",
        "admin.allowed_networks has 0.0.0.0/0",
        "tls.trusted_proxies has ::/0",
        "the storage plugin's secret_access_key is written in the configuration",
        "the storage plugin's endpoint_url is http://s3.example",
        "the auth plugin's jwks_url is http://keys.example/jwks.json",
        f"others have access to the secret in {secret}",
        f"others can replace the secrets in {secret.parent}",
        f"others have access to the private key in {key}",
        f"others can change the configuration: chmod go-w {config}",
    ):
        assert finding in told
    assert "hunter2" not in told
    assert told.count("\n  ") == 19


@pytest.mark.parametrize("command", [("run", "query", "--config"), ("up", "--data")])
def test_nothing_unsafe_starts(config: Path, command: tuple[str, ...]) -> None:
    place = config if command[0] == "run" else config.parent

    completed = run_artstore(
        *command, str(place), check=False, environment={"ARTSTORE__LOGGING__LEVEL": "debug"}
    )

    assert "1. logging.level is debug" in refusal(completed)
    assert sorted(path.name for path in config.parent.iterdir()) == ["artstore.toml"]


def test_elsewhere_the_same_settings_are_taken(config: Path) -> None:
    config.write_text(SAFE.replace("production", "development"))

    run_artstore(
        "config", "check", "--config", str(config), environment={"ARTSTORE__LOGGING__LEVEL": "debug"}
    )


def test_what_does_not_leave_the_machine_may_be_in_clear_text(config: Path) -> None:
    environment = {"ARTSTORE__AUTH": '{type = "oauth", jwks_url = "http://127.0.0.1:9100/keys"}'}

    run_artstore("config", "check", "--config", str(config), environment=environment)


def test_tls_at_a_proxy_of_another_machine_is_not_enough(config: Path) -> None:
    """Between the two, everything would be in clear text."""
    completed = run_artstore(
        "config",
        "check",
        "--config",
        str(config),
        check=False,
        environment={"ARTSTORE__QUERY__HOST": "10.0.0.7"},
    )

    assert "query.host is 10.0.0.7" in refusal(completed)
