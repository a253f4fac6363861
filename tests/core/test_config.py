"""Settings: file, environment, and what is said about mistakes."""

from pathlib import Path

import pytest

from artstore.core.config import read_settings
from artstore.core.spec import ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "artstore.toml"
    path.write_text('base_port = 9000\n[element]\nmode = "rw"\n')
    return path


def test_the_file_is_read(path: Path) -> None:
    settings = read_settings(path, environment={})

    assert settings.element.mode == "rw"
    assert settings.url("query") == "http://127.0.0.1:9030"


def test_the_environment_wins_over_the_file(path: Path) -> None:
    settings = read_settings(
        path, environment={"ARTSTORE__ELEMENT__MODE": "ro", "ARTSTORE__BASE_PORT": "7000"}
    )

    assert (settings.element.mode, settings.base_port) == ("ro", 7000)


def test_an_environment_value_may_be_a_list_or_a_table(path: Path) -> None:
    environment = {
        "ARTSTORE__ADMIN__ELEMENTS": '["http://a:1", "http://b:2"]',
        "ARTSTORE__CACHE": '{type = "other", url = "redis://x"}',
    }

    settings = read_settings(path, environment=environment)

    assert settings.element_urls() == ("http://a:1", "http://b:2")
    assert (settings.cache.type, settings.cache.options) == ("other", {"url": "redis://x"})


def test_the_environment_may_set_an_option_of_a_plugin(path: Path) -> None:
    path.write_text('[storage]\ntype = "local"\nroot = "a"\n')

    settings = read_settings(path, environment={"ARTSTORE__STORAGE__ROOT": "/elsewhere"})

    assert settings.storage.options == {"root": "/elsewhere"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[elemnt]\nmode = "rw"\n', "did you mean element?"),
        ('[element]\nmoed = "rw"\n', "element.moed: is unknown; did you mean mode?"),
        ('[element]\nmode = "wr"\n', "element.mode: should be 'edit', 'rw', 'ro' or 'ar'"),
        ("base_port = 70000\n", "base_port: "),
        ("base_port = \n", "is not valid TOML"),
        ('[storage]\nroot = "x"\n', "storage.type: is required"),
        ('[admin]\nurl = "localhost:8000"\n', "admin.url: should be a URL such as https://archive.example"),
        ('[admin]\nurl = "http://me:pw@host"\n', "admin.url: should be a URL such as"),
        ('[admin]\nelements = ["se-1"]\n', "admin.elements.0: should be a URL such as"),
        ('[admin]\nelements = "http://se-1"\n', "admin.elements: should be a list"),
        ("admin = 3\n", "admin: should be a set of named values"),
        ('base_directory = "/etc"\n', "base_directory: is unknown"),
    ],
)
def test_a_mistake_in_the_file_is_told_in_one_line_that_names_it(path: Path, text: str, said: str) -> None:
    path.write_text(text)

    with pytest.raises(ConfigurationError) as raised:
        read_settings(path, environment={})

    assert said in str(raised.value)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistake_in_the_environment_names_the_variable(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean mode\?.*ARTSTORE__ELEMENT__MOED"):
        read_settings(path, environment={"ARTSTORE__ELEMENT__MOED": "rw"})


def test_a_variable_below_something_that_is_no_section_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ARTSTORE__BASE_PORT__X"):
        read_settings(path, environment={"ARTSTORE__BASE_PORT__X": "1"})


def test_a_wrong_value_is_not_repeated(path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(path, environment={"ARTSTORE__ELEMENT__MODE": "s3cret"})

    assert "s3cret" not in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no configuration file .*artstore init"):
        read_settings(tmp_path / "none.toml", environment={})


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*directory"):
        read_settings(tmp_path, environment={})


def test_urls_of_addresses_that_nobody_can_connect_to_are_replaced(path: Path) -> None:
    path.write_text(
        '[query]\nhost = "0.0.0.0"\n[element]\nhost = "::"\n[admin]\nhost = "::1"\n'
        '[ingester]\nurl = "https://in.example/"\n'
    )

    settings = read_settings(path, environment={})

    assert settings.url("query") == "http://127.0.0.1:8030"
    assert settings.url("admin") == "http://[::1]:8000"
    assert settings.url("element") == "http://[::1]:8010"
    assert settings.url("ingester") == "https://in.example"
