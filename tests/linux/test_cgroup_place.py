"""Where groups go: trees of plain files that look like a cgroup file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isolate.linux.cgroup import CgroupError, Group, devices, place, usable_controllers
from isolate.linux.cgroup.layout import Hierarchy, Layout

if TYPE_CHECKING:
    from pathlib import Path


def v2_group(
    path: Path, controllers: str, *, procs: str = "", passed: str = "", kind: str | None = "domain"
) -> None:
    path.mkdir(exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text(passed)
    (path / "cgroup.procs").write_text(procs)
    if kind is not None:
        (path / "cgroup.type").write_text(f"{kind}\n")


def v2_layout(mountpoint: Path, own: str) -> Layout:
    controllers = frozenset((mountpoint / "cgroup.controllers").read_text().split())
    directory = f"{mountpoint}{own}".rstrip("/")
    return Layout([Hierarchy(2, controllers, own or "/", str(mountpoint), directory)])


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """root (memory, pids, cpu) / slice (memory, pids) / scope: ours, with our processes."""
    v2_group(tmp_path, "cpu memory pids", procs="1\n", passed="memory pids", kind=None)
    v2_group(tmp_path / "slice", "memory pids")
    v2_group(tmp_path / "slice" / "scope", "", procs="77\n")
    (tmp_path / "slice" / "scope" / "cgroup.freeze").write_text("0\n")
    return tmp_path


def test_without_controllers_the_own_group_will_do(host: Path) -> None:
    assert Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ()) == {
        "v2:": f"{host}/slice/scope/isolate-a"
    }


def test_a_group_with_processes_passes_nothing_on(host: Path) -> None:
    v2_group(host / "slice" / "scope", "memory pids", procs="77\n")
    assert Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("pids", "memory")) == {
        "v2:memory,pids": f"{host}/slice/isolate-a"
    }


def test_the_real_root_may_have_processes(host: Path) -> None:
    found = Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("cpu", "swap"))
    assert found == {"v2:cpu,memory": f"{host}/isolate-a"}


def test_the_root_of_a_namespace_is_no_real_root(host: Path) -> None:
    (host / "cgroup.type").write_text("domain\n")
    with pytest.raises(CgroupError, match="has processes of its own"):
        Group.paths(v2_layout(host, ""), "isolate-a", ("cpu",))


def test_threaded_groups_are_no_place(host: Path) -> None:
    (host / "slice" / "cgroup.type").write_text("domain threaded\n")
    found = Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("memory",))
    assert found == {"v2:memory": f"{host}/isolate-a"}


def test_what_is_not_delegated_is_refused_with_the_reason(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_writable", lambda path: "/scope" in path)
    with pytest.raises(CgroupError, match="slice is not delegated to this user"):
        Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("memory",))


def test_delegated_without_subtree_control(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def writable(path: str) -> bool:
        return "/slice" in path and not path.endswith("subtree_control")

    monkeypatch.setattr(place, "_writable", writable)
    layout = v2_layout(host, "/slice/scope")
    with pytest.raises(CgroupError, match="not delegated"):
        Group.paths(layout, "isolate-a", ("memory",))
    (host / "slice" / "cgroup.subtree_control").write_text("memory")
    assert Group.paths(layout, "isolate-a", ("memory",)) == {"v2:memory": f"{host}/slice/isolate-a"}


def test_usable_controllers_of_v2(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "obstacle", lambda _directory: "eBPF is forbidden")
    v2_group(host / "other", "memory", passed="")
    (host / "other" / "memory.max").write_text("max\n")
    found = usable_controllers(v2_layout(host, "/slice/scope"))
    assert {name for name, reason in found.items() if reason is None} == {
        "memory",
        "cpu",
        "pids",
        "freezer",
    }
    assert "no swap accounting" in str(found["swap"])
    assert "io" in str(found["io"])
    assert "eBPF is forbidden" in str(found["devices"])
    (host / "other" / "memory.swap.max").write_text("max\n")
    assert usable_controllers(v2_layout(host, "/slice/scope"))["swap"] is None


@pytest.fixture
def old_host(tmp_path: Path) -> dict[str, Hierarchy]:
    """Version 1: memory without swap accounting, cpu with cpuacct, freezer, pids."""
    files = {"memory": "memory.limit_in_bytes", "cpu,cpuacct": "cpu.cfs_quota_us"}
    made = {}
    for names in ("memory", "cpu,cpuacct", "freezer", "pids"):
        own = tmp_path / names / "own"
        own.mkdir(parents=True)
        if names in files:
            (own / files[names]).write_text("-1\n")
        made[names] = Hierarchy(
            1, frozenset(names.split(",")), "/own", str(tmp_path / names), str(own)
        )
    return made


def test_v1_goes_below_the_own_group_and_adds_the_freezer(
    old_host: dict[str, Hierarchy], tmp_path: Path
) -> None:
    layout = Layout(old_host.values())
    assert Group.paths(layout, "isolate-a", ("cpu", "cpuacct")) == {
        "v1:cpu,cpuacct": f"{tmp_path}/cpu,cpuacct/own/isolate-a",
        "v1:freezer": f"{tmp_path}/freezer/own/isolate-a",
    }


def test_v1_without_a_freezer_tracks_by_pids(
    old_host: dict[str, Hierarchy], tmp_path: Path
) -> None:
    layout = Layout(old_host.values()).without("freezer")
    assert Group.paths(layout, "isolate-a", ()) == {"v1:pids": f"{tmp_path}/pids/own/isolate-a"}
    with pytest.raises(CgroupError, match="no freezer hierarchy"):
        Group.paths(layout, "isolate-a", ("freezer",))


def test_v1_without_any_means_of_tracking(old_host: dict[str, Hierarchy]) -> None:
    layout = Layout(old_host.values()).without("freezer", "pids")
    with pytest.raises(CgroupError, match="tracked"):
        Group.paths(layout, "isolate-a", ("memory",))


def test_usable_controllers_of_v1(old_host: dict[str, Hierarchy]) -> None:
    found = usable_controllers(Layout(old_host.values()))
    assert {name for name, reason in found.items() if reason is None} == {
        "memory",
        "cpu",
        "pids",
        "freezer",
    }
    assert "memory.memsw.limit_in_bytes" in str(found["swap"])
    assert "no devices controller" in str(found["devices"])


def test_hybrid_tracks_by_v2(old_host: dict[str, Hierarchy], tmp_path: Path) -> None:
    unified = tmp_path / "unified"
    v2_group(unified, "", kind=None)
    (unified / "cgroup.freeze").write_text("0\n")
    layout = Layout([*old_host.values(), *v2_layout(unified, "").hierarchies])
    assert Group.paths(layout, "isolate-a", ("memory",)) == {
        "v2:": f"{unified}/isolate-a",
        "v1:memory": f"{tmp_path}/memory/own/isolate-a",
    }


@pytest.mark.usefixtures("host")
def test_hybrid_whose_v2_cannot_be_written_falls_back(
    old_host: dict[str, Hierarchy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unified = tmp_path / "unified"
    v2_group(unified, "", kind=None)
    monkeypatch.setattr(place, "_writable", lambda path: "/unified" not in path)
    layout = Layout([*old_host.values(), *v2_layout(unified, "").hierarchies])
    assert Group.paths(layout, "isolate-a", ()) == {
        "v1:freezer": f"{tmp_path}/freezer/own/isolate-a"
    }


def test_the_own_group_is_gone(old_host: dict[str, Hierarchy]) -> None:
    gone = Hierarchy(1, frozenset(("memory",)), "/x (deleted)", "/nowhere", "/nowhere/x (deleted)")
    layout = Layout([gone, old_host["freezer"]])
    assert "does not exist" in str(usable_controllers(layout)["memory"])


BAD_NAMES = "isolate- x ../x /isolate-x isolate-a/b isolate-a/../../b".split()


@pytest.mark.parametrize(
    "name", ["", *BAD_NAMES, "isolate-\0", "isolate-\n", f"isolate-{'x' * 300}"]
)
def test_names_that_could_escape_are_refused(host: Path, name: str) -> None:
    with pytest.raises(CgroupError, match="can't name a container's cgroup"):
        Group.paths(v2_layout(host, ""), name, ())


def test_unknown_controllers_are_refused(host: Path) -> None:
    with pytest.raises(CgroupError, match="no such controller: hugs"):
        Group.paths(v2_layout(host, ""), "isolate-a", ("hugs",))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("v2:", "/sys/fs/cgroup/../isolate-a"),
        ("v2:", "sys/isolate-a"),
        ("v2:", "/sys/fs/cgroup/other"),
        ("v3:", "/sys/fs/cgroup/isolate-a"),
        ("v2:", "/sys/fs\0/isolate-a"),
    ],
)
def test_recorded_data_is_not_trusted(key: str, path: str) -> None:
    with pytest.raises(CgroupError):
        Group({key: path})


def test_a_group_is_rebuilt_from_what_was_recorded(host: Path) -> None:
    recorded = Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("cpu",))
    assert Group(recorded).directories == recorded


def test_create_passes_controllers_on_and_undoes_what_it_made(host: Path) -> None:
    paths = Group.paths(v2_layout(host, "/slice/scope"), "isolate-a", ("cpu", "memory"))
    Group(paths).create()
    assert (host / "isolate-a").is_dir()
    assert (host / "cgroup.subtree_control").read_text().startswith("+cpu")
    with pytest.raises(CgroupError, match="File exists"):
        Group(paths).create()
    half = {"v2:": f"{host}/isolate-b", "v1:memory": f"{host}/missing/isolate-b"}
    with pytest.raises(CgroupError, match="missing/isolate-b can't be made"):
        Group(half).create()
    assert not (host / "isolate-b").exists()
