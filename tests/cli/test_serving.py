"""`artstore up` and `run`: how they start, refuse to start, and stop."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.cluster import Answer, Cluster, artstore, free_base_port, request, run_artstore

FILE_ID = "01920000-0000-7000-8000-000000000042"


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that a test may stop."""
    cluster = Cluster(tmp_path / "data")
    try:
        yield cluster.start()
    finally:
        cluster.kill()


def test_a_port_that_is_taken_is_told_and_harms_nobody(cluster: Cluster, tmp_path: Path) -> None:
    port = str(cluster.base_port)

    elsewhere = run_artstore("up", "--data", str(tmp_path / "other"), "--base-port", port, check=False)
    same = cluster.command("up", "--base-port", port, check=False)

    for completed in (elsewhere, same):
        assert completed.returncode == 2
        [line] = [line for line in completed.stderr.splitlines() if line.startswith("error: ")]
        assert f"admin cannot listen on 127.0.0.1:{port}" in line
        assert "Traceback" not in completed.stderr
    assert not (tmp_path / "other" / "index.db").exists()
    cluster.command("ls")


def test_a_host_that_does_not_exist_is_told(tmp_path: Path) -> None:
    environment = {"ARTSTORE__ADMIN__HOST": "nowhere.invalid"}

    completed = run_artstore("up", "--data", str(tmp_path / "data"), environment=environment, check=False)

    assert completed.returncode == 2
    assert "admin cannot listen on nowhere.invalid:8000" in completed.stderr.splitlines()[-1]


def test_a_failed_start_leaves_the_address_of_the_running_cluster(cluster: Cluster) -> None:
    address = cluster.data / "admin-url"

    cluster.command("up", "--base-port", str(cluster.base_port), check=False)

    assert address.read_text().strip() == cluster.url("admin")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()

    completed = run_artstore("up", "--data", str(tmp_path / place), check=False)

    assert completed.returncode == 2
    assert completed.stderr.startswith(f"error: cannot write to {tmp_path / place}")
    assert len(completed.stderr.splitlines()) == 1


@pytest.mark.parametrize("in_its_place", ["index.db", "storage", "secrets"])
def test_what_is_no_directory_or_database_is_told(tmp_path: Path, in_its_place: str) -> None:
    run_artstore("init", str(tmp_path / "data"), "--base-port", str(free_base_port()))
    (tmp_path / "data" / in_its_place).write_text("something else " * 100)

    completed = run_artstore("up", "--data", str(tmp_path / "data"), check=False)

    assert completed.returncode in (1, 2)
    [line] = [line for line in completed.stderr.splitlines() if line.startswith("error: ")]
    assert in_its_place in line
    assert "Traceback" not in completed.stderr


def test_a_storage_element_is_one_process(cluster: Cluster) -> None:
    config = str(cluster.data / "artstore.toml")

    completed = run_artstore("run", "element", "--workers", "2", "--config", config, check=False)

    assert completed.returncode == 2
    assert completed.stderr.startswith("error: a storage element is one process")


def test_several_workers_serve_one_port_and_stop_together(cluster: Cluster) -> None:
    port = free_base_port()
    supervisor = subprocess.Popen(
        [artstore(), "run", "query", "--workers", "2", "--config", str(cluster.data / "artstore.toml")],
        env={
            **os.environ,
            "ARTSTORE__BASE_PORT": str(cluster.base_port),
            "ARTSTORE__QUERY__PORT": str(port),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_health(port)
        workers = _children(supervisor.pid)
        supervisor.send_signal(signal.SIGTERM)
        code = supervisor.wait(30)
    finally:
        supervisor.kill()
        supervisor.wait()

    assert len(workers) == 2
    assert code == 0
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


def test_idle_connections_do_not_keep_a_role_from_its_files(cluster: Cluster) -> None:
    with _ingester(cluster, "prlimit", "--nofile=100:300") as (port, _):
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        time.sleep(0.5)
        numbers = [_is_open(connection) for connection in connections]
        for connection in connections:
            connection.close()
        _wait_for_health(port)

    assert 0 < sum(numbers) < 100


@pytest.mark.slow
def test_a_server_does_not_stop_with_its_terminal_if_it_was_told_so(cluster: Cluster) -> None:
    with _ingester(cluster, "nohup") as (port, pid):
        os.kill(pid, signal.SIGHUP)
        time.sleep(1)

        assert request("GET", f"http://127.0.0.1:{port}/health/live").status == 200


@contextmanager
def _ingester(cluster: Cluster, *prefix: str) -> Generator[tuple[int, int]]:
    """Port and process of one more ingester of ``cluster``, whose command is run by ``prefix``."""
    port = free_base_port()
    process = subprocess.Popen(
        [*prefix, artstore(), "run", "ingester", "--config", str(cluster.data / "artstore.toml")],
        env={
            **os.environ,
            "ARTSTORE__BASE_PORT": str(cluster.base_port),
            "ARTSTORE__INGESTER__PORT": str(port),
            "ARTSTORE__AUDIT__SPOOL": str(cluster.data.parent / f"audit-{port}"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_health(port)
        yield port, process.pid
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_stop_lets_a_running_upload_finish(own_cluster: Cluster, number: signal.Signals) -> None:
    connection = _start_upload(own_cluster, size=100_000)
    connection.send(b"x" * 50_000)
    stopping = Thread(target=own_cluster.stop, args=(number,))
    stopping.start()
    _wait_until_refused(own_cluster)

    connection.send(b"x" * 50_000)
    with connection.getresponse() as response:
        answer = Answer(response.status, {}, response.read())
    stopping.join(30)

    assert answer.status == 201, answer
    assert own_cluster.process.returncode == 0
    assert not (own_cluster.data / "admin-url").exists()
    assert [path.stat().st_size for path in (own_cluster.data / "storage").rglob("slow*.bin")] == [100_000]


def _start_upload(cluster: Cluster, *, size: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", int(cluster.url("ingester").rpartition(":")[2]))
    connection.putrequest("POST", "/api/v1/files")
    connection.putheader("Authorization", f"Bearer {cluster.token()}")
    connection.putheader("Content-Disposition", 'attachment; filename="slow.bin"')
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    return connection


def _wait_until_refused(cluster: Cluster) -> None:
    """Until the log says that the stop has begun."""
    deadline = time.monotonic() + 30
    while "server_stopping" not in cluster.log.read_text():
        assert time.monotonic() < deadline, cluster.tail()
        time.sleep(0.05)


def _wait_for_health(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if request("GET", f"http://127.0.0.1:{port}/health/ready").status == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]


def test_a_second_cluster_on_the_same_directory_does_not_start_and_harms_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    names = [f"{number}.txt" for number in range(300)]
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    putting = subprocess.Popen(
        [artstore(), "put", "-r", str(folder), "--data", str(cluster.data)], stdout=subprocess.DEVNULL
    )

    while putting.poll() is None:
        second = cluster.command("up", "--base-port", str(free_base_port()), check=False)
        assert second.returncode == 2
        assert "is in use by another process" in second.stderr.splitlines()[-1]

    assert putting.returncode == 0
    verified = cluster.command("verify", "-r", str(folder))
    assert "300" in verified.stdout
    assert (cluster.data / "admin-url").read_text().strip() == cluster.url("admin")


def test_a_directory_with_brackets_and_spaces_is_shown_as_it_is_typed(tmp_path: Path) -> None:
    directory = tmp_path / "[bold] x[/y]"

    completed = run_artstore("init", str(directory))

    assert f"Next: artstore up --data '{directory}'\n" in completed.stdout
