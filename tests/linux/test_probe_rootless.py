"""`isolate probe` as an ordinary user: what the user can't reach bare is vacuous, nothing fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.command import Isolate

WALLS = ("fs", "kernel", "dev", "pid", "ipc", "uts", "syscall", "priv", "life")
pytestmark = pytest.mark.needs("userns", "newuidmap")


def test_nothing_of_the_users_is_exposed(rootless_cmd: Isolate) -> None:
    done = rootless_cmd("probe", "--backend=namespaces", "--json", timeout=90, check=True)
    rows = {row["probe"]: row for row in json.loads(done.stdout)}
    wrong = {
        name: (row["verdict"], row["evidence"])
        for name, row in rows.items()
        if name.partition(".")[0] in WALLS
        and row["verdict"] not in ("isolated", "vacuous", "inconclusive")
    }
    assert wrong == {}
    proved = {name for name, row in rows.items() if row["verdict"] == "isolated"}
    assert {"fs.direct", "pid.signal", "pid.visible", "ipc.shm", "ipc.abstract"} <= proved
    # Renaming the host is refused to an ordinary user anywhere: that proves nothing.
    assert rows["uts.name"]["verdict"] == "vacuous"
