"""OpenStack Swift with its S3 API, all of its servers in one process: ``swift_server.py DIRECTORY``.

Runs in Swift's own environment. It prints its URL. A line ``ACCESS-KEY SECRET-KEY`` on its standard input
lets one more user in, to the same buckets; the access key alone lets that user in no more; each is answered
by a line. When its standard input ends, as it does with its parent, it removes the directory and ends.
"""

import gc
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

# Named as text: type checkers run where Swift is not installed.
eventlet: Any = import_module("eventlet")
eventlet.monkey_patch()
wsgi: Any = import_module("eventlet.wsgi")
ring: Any = import_module("swift.common.ring")
paste: Any = import_module("swift.common.wsgi")
tempauth: Any = import_module("swift.common.middleware.tempauth")
utils: Any = import_module("swift.common.utils")

BACKENDS: Final = ("account", "container", "object")

SWIFT_CONF: Final = """
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = gold
default = yes
"""
# The timeouts are those of a machine that does many other things: past them Swift updates listings later.
BACKEND_CONF: Final = """
[DEFAULT]
swift_dir = {directory}
devices = {directory}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
container_update_timeout = 30
conn_timeout = 10
node_timeout = 30
db_query_logging = false
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
container_update_timeout = 30
"""
PROXY_CONF: Final = """
[DEFAULT]
swift_dir = {directory}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth copy slo dlo {more}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = tests_cache:filter_factory
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = no
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 30
"""


class Cache:
    """What memcached is to Swift, for one process."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get(self, key: str, *_: object, **__: object) -> Any:
        return self._values.get(key)

    def set(self, key: str, value: Any, **_: object) -> None:
        self._values[key] = value

    def incr(self, key: str, delta: int = 1, **_: object) -> int:
        self._values[key] = int(self._values.get(key, 0)) + delta
        return int(self._values[key])

    def delete(self, key: str, **_: object) -> None:
        self._values.pop(key, None)


def filter_factory(*_: object, **__: object) -> Any:
    """The paste filter that hands the cache to Swift's middlewares."""
    cache = Cache()

    def use(app: Any) -> Any:
        def call(environ: dict[str, Any], start_response: Any) -> Any:
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return call

    return use


def serve(directory: Path) -> None:
    (directory / "devices" / "d1").mkdir(parents=True)
    (directory / "swift.conf").write_text(SWIFT_CONF)
    utils.SWIFT_CONF_FILE = str(directory / "swift.conf")
    for kind in BACKENDS:
        _serve_backend(directory, kind)
    conf = directory / "proxy.conf"
    conf.write_text(PROXY_CONF.format(directory=directory, more="versioned_writes symlink proxy-server"))
    socket = eventlet.listen(("127.0.0.1", 0), backlog=512)
    app = _load(conf)
    eventlet.spawn(_take_orders, directory, _users())
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    _answer(socket, app)


def _serve_backend(directory: Path, kind: str) -> None:
    socket = eventlet.listen(("127.0.0.1", 0), backlog=512)
    builder = ring.RingBuilder(2, 1, 0)
    builder.add_dev(
        {"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "d1"}
        | {"ip": "127.0.0.1", "port": socket.getsockname()[1]}
    )
    builder.rebalance()
    builder.get_ring().save(str(directory / f"{kind}.ring.gz"))
    conf = directory / f"{kind}.conf"
    conf.write_text(BACKEND_CONF.format(directory=directory, kind=kind))
    eventlet.spawn(_answer, socket, _load(conf))


def _load(conf: Path) -> Any:
    return paste.loadapp(str(conf), global_conf={"log_name": conf.stem})


def _answer(socket: Any, app: Any) -> None:
    wsgi.server(socket, app, log_output=False, max_size=1024, socket_timeout=120, debug=False)


def _users() -> dict[str, Any]:
    """Whom the middleware lets in; from outside there is no way to it, since one wraps the other."""
    users: dict[str, Any] = next(
        each for each in gc.get_objects() if isinstance(each, tempauth.TempAuth)
    ).users
    return users


def _take_orders(directory: Path, users: dict[str, Any]) -> None:
    while True:
        eventlet.hubs.trampoline(sys.stdin.fileno(), read=True)
        match os.read(sys.stdin.fileno(), 4096).decode().split():
            case [access_key, secret_key]:
                users[access_key] = {**users["test:tester"], "key": secret_key}
            case [access_key]:
                users.pop(access_key, None)
            case _:
                shutil.rmtree(directory, ignore_errors=True)
                os._exit(0)
        print("done", flush=True)


if __name__ == "__main__":
    # The configuration of the proxy names this module.
    sys.modules["tests_cache"] = sys.modules["__main__"]
    serve(Path(sys.argv[1]))
