"""`isolate probe`: its table, its explanation, its JSON, its exit status; roots without Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from isolate.probe.plugin import PROBES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")


def test_a_column_as_a_table(isolate_cmd: Isolate) -> None:
    done = isolate_cmd("probe", "--backend=chroot", "--only=pid", check=True)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["PROBE", "VERDICT", "CLAIMED", "WHAT", "IT", "MEANS"]
    names = [row.split()[0] for row in rows]
    assert names == [name for name in PROBES if name.startswith("pid.")]
    assert rows[1].split(maxsplit=3)[1:] == [
        "exposed",
        "no",
        "The program ends or disturbs processes of the host's by signals.",
    ]


def test_one_probe_explained(isolate_cmd: Isolate) -> None:
    done = isolate_cmd("probe", "--backend=namespaces", "--explain=ipc.shm", check=True)
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[0] != " ")
    assert rows["verdict"] == "isolated"
    assert rows["claimed"] == "isolated here, by the feature view.ipc"
    assert rows["evidence"] == (
        "attach the host's shared memory segment: ENOENT (No such file or directory)"
    )
    assert rows["control"] == "attach the host's shared memory segment: the token"
    assert rows["attempt"] == "Read the token in a System V shared memory segment."
    assert {"probe", "meaning", "remedy"} <= rows.keys()


def test_json_is_the_comparisons_rows(isolate_cmd: Isolate) -> None:
    done = isolate_cmd("probe", "--backend=namespaces", "--only=uts.name", "--json", check=True)
    (row,) = json.loads(done.stdout)
    assert (row["probe"], row["backend"], row["verdict"]) == ("uts.name", "namespaces", "isolated")
    assert row["claimed"] is True


def test_a_view_that_the_spec_gives_up_is_not_claimed(isolate_cmd: Isolate) -> None:
    spec = isolate_cmd.state / "spec.json"
    spec.write_text(json.dumps({"network": {"mode": "host"}, "process": {"args": ["ignored"]}}))
    words = ("--only=ipc.abstract", f"--spec={spec}", "--json")
    done = isolate_cmd("probe", "--backend=namespaces", *words, check=True)
    (row,) = json.loads(done.stdout)
    assert (row["verdict"], row["claimed"]) == ("exposed", False)


@pytest.mark.needs("busybox", "runc")
@pytest.mark.parametrize("backend", ["namespaces", "runc"])
def test_a_root_without_python_is_lent_one(
    isolate_cmd: Isolate, busybox: Path, backend: str
) -> None:
    words = (f"--rootfs=dir:{busybox}", "--json", "--only=fs")
    done = isolate_cmd("probe", f"--backend={backend}", *words, check=True)
    rows = {row["probe"]: row for row in json.loads(done.stdout)}
    assert {row["verdict"] for row in rows.values()} == {"isolated"}
    # It ran, with ctypes: the kernel itself refused the handle.
    assert rows["fs.file_handle"]["evidence"].endswith("EPERM (Operation not permitted)")


@pytest.mark.needs("busybox")
def test_a_backend_that_cannot_lend_says_so(isolate_cmd: Isolate, busybox: Path) -> None:
    words = (f"--rootfs=dir:{busybox}", "--json", "--only=fs.direct")
    done = isolate_cmd("probe", "--backend=chroot", *words, check=True)
    (row,) = json.loads(done.stdout)
    assert row["verdict"] == "error"
    assert row["evidence"].endswith("has no Python, and chroot can't lend it one (mounts.bind)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--backend=none-such",), 'there is no backend "none-such"'),
        (("--backend=chroot", "--only=nothing"), 'there is no probe "nothing"'),
        (("--backend=chroot", "--explain=pid"), "--explain takes the id of one probe"),
        (("--backend=chroot", "--rootfs=dir:/none/such"), "/none/such"),
        (("--backend=chroot", "--spec=/none/such"), "/none/such"),
    ],
)
def test_errors_are_two_lines(isolate_cmd: Isolate, words: tuple[str, ...], message: str) -> None:
    done = isolate_cmd("probe", *words)
    assert done.returncode == 1
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
