"""The host's tree as a root shows files, and no way to command what runs beside the container."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.probes import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "userns", "newuidmap")

_ASK = """
import json
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    peer.connect(PLACE + "/supervisor.sock")
    peer.recv(4096)
    peer.send(json.dumps({"action": "ping"}).encode())
    print("answered", peer.recv(4096).decode())
except OSError as error:
    print("refused", error.strerror)
"""
_CONNECT = """
for path in PLACE:
    print(refused(socket.socket(socket.AF_UNIX).connect, path))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory outside of what is empty in every such root, as ~/.local or /var/lib are."""
    directory = Path(tempfile.mkdtemp(prefix="isolate-test-", dir="/opt"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def listen(path: Path, owner: int = 0) -> socket.socket:
    """A socket that everybody may connect to."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o666)
    os.chown(path, owner, owner)
    server.listen()
    return server


def code(place: object, text: str) -> list[str]:
    return probe(f"PLACE = {place!r}\n{text}")


def test_the_supervisor_is_not_reached(rootless_cmd: Isolate, place: Path) -> None:
    account = rootless_cmd.account
    assert account is not None
    os.chown(place, account.uid, account.gid)
    place.chmod(0o700)
    env = {"ISOLATE_ROOT": str(place)}
    name = rootless_cmd("run", "-d", "--", "sleep", "60", env=env, check=True).stdout.strip()
    try:
        for environment in (env, {}):  # in the same state directory, and from another one
            done = rootless_cmd(
                "run", "--rootfs=host", "--", *code(str(place), _ASK), env=environment
            )
            assert "answered" not in done.stdout
            assert "refused" in done.stdout, done.stderr
    finally:
        rootless_cmd("delete", "--force", name, env=env, check=True)


def test_a_runtime_directory_elsewhere(rootless_cmd: Isolate, place: Path) -> None:
    (place / "file").touch()
    env = {"XDG_RUNTIME_DIR": str(place)}
    done = rootless_cmd("run", "--rootfs=host", "--", "ls", str(place), env=env, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("who", ["isolate_cmd", "rootless_cmd"])
def test_sockets_of_the_system(request: pytest.FixtureRequest, who: str, place: Path) -> None:
    isolate: Isolate = request.getfixturevalue(who)
    (place / "closed").mkdir(mode=0o700)
    (place / "link").symlink_to(place)
    paths = [place / "plain", place / "with space", place / "link" / "linked", place / "closed/x"]
    with contextlib.ExitStack() as servers:
        for path in paths:
            servers.enter_context(listen(path))
        ask = code([str(path) for path in paths], _CONNECT)
        done = isolate("run", "--rootfs=host", "--", *ask, check=True)
        assert done.stdout.split() == ["ECONNREFUSED"] * 3 + ["EACCES"]
        # Without the masks they would be reached: what is asked for is shown.
        target = f"--volume={paths[0]}:{paths[0]}"
        done = isolate("run", "--rootfs=host", target, "--", *ask, check=True)
        assert done.stdout.split() == ["ALLOWED", *["ECONNREFUSED"] * 2, "EACCES"]


@pytest.mark.parametrize(
    "backend",
    [
        "namespaces",
        "jail",
        pytest.param("lxc", marks=pytest.mark.needs("lxc-execute")),
        pytest.param("runc", marks=pytest.mark.needs("runc")),
    ],
)
@pytest.mark.parametrize("users", ["private", "host"])
def test_sockets_in_every_backend(
    isolate_cmd: Isolate, backend: str, users: str, place: Path
) -> None:
    asked = ["run", "-b", backend, "--rootfs=host", f"--userns={users}", "--"]
    with listen(place / "socket"):
        done = isolate_cmd(*asked, *code([str(place / "socket")], _CONNECT))
    assert done.stdout.split() == ["ECONNREFUSED"], done.stderr


def test_people_can_not_make_it_fail(isolate_cmd: Isolate, place: Path) -> None:
    """Their sockets are theirs, and could be thousands; a name may be a link when we look."""
    with contextlib.ExitStack() as servers:
        servers.enter_context(listen(place / "theirs", owner=54321))
        servers.enter_context(listen(place / "swapped"))
        (place / "swapped").unlink()
        (place / "swapped").symlink_to("/usr/bin/env")
        done = isolate_cmd("run", "--rootfs=host", "--", "env", "cat", "/proc/mounts", check=True)
    assert str(place) not in done.stdout
