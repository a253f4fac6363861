"""`artstore init` and `config`: configurations that can be used, and those that cannot."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure
from tests.cluster import run_artstore


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file as `init` makes it."""
    run_artstore("init", str(tmp_path / "made"), "--base-port", "9100")
    return tmp_path / "made" / "artstore.toml"


def test_init_makes_what_check_finds_good(config: Path) -> None:
    completed = run_artstore("config", "check", "--config", str(config))

    assert completed.stdout == f"{config} can be used\n"
    assert config.parent.stat().st_mode & 0o077 == 0


def test_init_changes_nothing_that_is_there(config: Path) -> None:
    config.write_text(config.read_text() + "# mine\n")
    before = config.read_bytes()

    again = run_artstore("init", str(config.parent), check=False)

    assert "is there already; nothing was changed" in failure(again, code=2)
    assert config.read_bytes() == before


def test_a_typo_in_the_file_is_told_with_the_nearest_name(config: Path) -> None:
    config.write_text(config.read_text().replace("element_id", "elemnt_id"))

    completed = run_artstore("config", "check", "--config", str(config), check=False)

    told = failure(completed, code=2)
    assert "element.elemnt_id: is unknown; did you mean element_id?" in told
    assert str(config) in told


def test_a_typo_in_the_options_of_a_plugin_is_told(config: Path) -> None:
    config.write_text(config.read_text().replace("root =", "rot ="))

    completed = run_artstore("config", "check", "--config", str(config), check=False)

    assert "root" in failure(completed, code=2)


def test_a_rule_that_would_protect_nothing_is_told(config: Path) -> None:
    with config.open("a") as file:
        file.write('[tls]\nverify_mode = "required"\nca_cert_file = "ca.crt"\n')
        file.write('[[tls.client_names.query]]\npath = "/api/internal/.*"\nnames = ["billing"]\n')

    completed = run_artstore("config", "check", "--config", str(config), check=False)

    assert "matches no route of the role" in failure(completed, code=2)


def test_a_typo_in_the_environment_is_told(config: Path) -> None:
    environment = {"ARTSTORE__ELEMENT__MOOD": "rw"}

    completed = run_artstore("config", "check", "--config", str(config), check=False, environment=environment)

    told = failure(completed, code=2)
    assert "did you mean mode?" in told
    assert "ARTSTORE__ELEMENT__MOOD" in told


@pytest.mark.parametrize("command", [["config", "check"], ["config", "show"], ["run", "query"]])
def test_what_is_no_toml_is_told(config: Path, command: list[str]) -> None:
    config.write_text("[element")

    completed = run_artstore(*command, "--config", str(config), check=False)

    assert f"{config} is not valid TOML" in failure(completed, code=2)


def test_what_is_in_force_is_shown_without_secrets(config: Path) -> None:
    environment = {"ARTSTORE__ELEMENT__MODE": "rw", "ARTSTORE__METADATA__PASSWORD": "hidden"}

    shown = run_artstore("config", "show", "--config", str(config), environment=environment)
    document = run_artstore("config", "show", "--json", "--config", str(config), environment=environment)

    settings = json.loads(document.stdout)
    assert (settings["base_port"], settings["element"]["mode"]) == (9100, "rw")
    assert settings["metadata"]["password"] == "********"
    assert "element.mode" in shown.stdout
    assert "hidden" not in shown.stdout + document.stdout


def test_the_configuration_has_a_schema_and_so_has_every_plugin(config: Path) -> None:
    whole = json.loads(run_artstore("config", "schema").stdout)
    plugin = json.loads(run_artstore("config", "schema", "storage_local").stdout)
    unknown = run_artstore("config", "schema", "storage_floppy", check=False)

    assert {"element", "storage", "secrets"} <= set(whole["properties"])
    assert "root" in plugin["properties"]
    assert "storage_local" in failure(unknown, code=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["put"], "Missing argument 'PATH…'"),
        (["put", "x", "--jobs", "100"], "--jobs"),
        (["up", "--base-prot", "1"], "--base-prot"),
        (["gte", "1"], "gte"),
    ],
)
def test_a_wrong_use_of_the_command_line_is_one_line(arguments: list[str], told: str) -> None:
    completed = run_artstore(*arguments, check=False)

    assert told in failure(completed, code=2)
