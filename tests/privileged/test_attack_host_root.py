"""The host's tree as a root shows files, and no way to command what runs beside the container."""

from __future__ import annotations

import os
import shutil
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
import json, socket
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    peer.connect(STATE + "/supervisor.sock")
    peer.recv(4096)
    peer.send(json.dumps({"action": "ping"}).encode())
    print("answered", peer.recv(4096).decode())
except OSError as error:
    print("refused", error.strerror)
"""


@pytest.fixture
def state(rootless_cmd: Isolate) -> Iterator[Path]:
    """A state directory of an ordinary user outside of /run and /tmp, as ~/.local is."""
    account = rootless_cmd.account
    assert account is not None
    directory = Path(tempfile.mkdtemp(prefix="isolate-test-", dir="/opt"))
    os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)
    yield directory
    shutil.rmtree(directory)


def test_the_supervisor_is_not_reached(rootless_cmd: Isolate, state: Path) -> None:
    env = {"ISOLATE_ROOT": str(state)}
    name = rootless_cmd("run", "-d", "--", "sleep", "60", env=env, check=True).stdout.strip()
    try:
        code = f"STATE = {str(state)!r}\n{_ASK}"
        done = rootless_cmd("run", "--rootfs=host", "--", *probe(code), env=env)
        assert "answered" not in done.stdout
        assert "refused" in done.stdout, done.stderr
    finally:
        rootless_cmd("delete", "--force", name, env=env, check=True)
