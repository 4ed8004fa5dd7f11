"""A spec as bwrap's options: their order, and what never stands among them."""

from __future__ import annotations

from typing import Any

import pytest

from isolate.spec import Spec
from isolate_bubblewrap import command, plan

FOUND = command.Found(
    home="/root",
    points={"/way/sub": "/etc/sub"},
    masked=[("/proc/kcore", False), ("/etc/hidden", True)],
    descriptors={"info": 3, "block": 4, "seccomp": 5},
)


def options(*, attached: bool = True, **parts: Any) -> list[list[str]]:
    spec = Spec.build({"process": {"args": ["true"]}, **parts}, "")
    chosen = plan.choose(spec, "the-id", "/mnt", attached=attached)
    return command.options(spec, chosen, FOUND)


def place(rows: list[list[str]], *words: str) -> int:
    (found,) = [number for number, row in enumerate(rows) if row[: len(words)] == list(words)]
    return found


def test_the_kernels_files_are_read_only_before_anything_is_hidden() -> None:
    rows = options()
    proc = place(rows, "--proc", "/proc")
    read_only = place(rows, "--ro-bind", "/proc/sys", "/proc/sys")
    mask = place(rows, "--dev-bind", "/dev/null", "/proc/kcore")
    assert place(rows, "--bind", "/mnt/root", "/") < proc < read_only < mask


def test_a_read_only_root_comes_after_every_mount() -> None:
    volume = {"source": "/srv", "target": "/way/sub"}
    rows = options(root={"readonly": True}, mounts=[volume, {"type": "tmpfs", "target": "/t"}])
    last = place(rows, "--remount-ro", "/")
    assert last > place(rows, "--bind", "/mnt/mount.0", "/etc/sub")
    assert last > place(rows, "--tmpfs", "/t")
    assert rows[last + 1 :] == [["--chdir", "/"]]
    assert ["--remount-ro", "/"] not in options()


def test_no_source_of_the_host_is_named() -> None:
    rows = options(mounts=[{"source": "/very/secret", "target": "/x"}])
    assert not [row for row in rows if "/very/secret" in row]


def test_every_right_is_dropped_and_the_session_is_its_own() -> None:
    rows = options()
    for row in (["--cap-drop", "ALL"], ["--new-session"], ["--as-pid-1"], ["--seccomp", "5"]):
        assert row in rows
    assert "--cap-add" not in [row[0] for row in rows]


@pytest.mark.parametrize(("attached", "count"), [(True, 1), (False, 0)])
def test_a_detached_program_may_outlive_its_launcher(attached: bool, count: int) -> None:
    assert options(attached=attached).count(["--die-with-parent"]) == count


def test_values_that_look_like_options_stay_values() -> None:
    env = {"--bind": "--share-net", "A": "--"}
    rows = options(process={"args": ["true"], "env": env, "cwd": "/--proc"})
    assert ["--setenv", "--bind", "--share-net"] in rows
    assert ["--setenv", "A", "--"] in rows
    assert rows[-1] == ["--chdir", "/--proc"]


def test_the_hosts_network_is_kept_only_when_asked_for() -> None:
    assert ["--unshare-net"] in options()
    assert ["--unshare-net"] not in options(network={"mode": "host"})
    for view in ("--unshare-pid", "--unshare-ipc", "--unshare-uts"):
        assert [view] in options(network={"mode": "host"})


def test_the_processes_are_always_its_own() -> None:
    """They end with its process 1, whatever views are listed."""
    assert ["--unshare-pid"] in options(isolate=["mounts"])


def test_without_a_filter_none_is_handed_over() -> None:
    rows = options(privileges={"seccomp": "unconfined"})
    assert "--seccomp" not in [row[0] for row in rows]
