"""config.json as a spec: both directions agree, and what a spec can't express is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.errors import SpecError
from isolate.oci import from_oci, to_oci
from isolate.spec import Spec

MAPS = ([(0, 100000, 65536)], [(0, 200000, 65536)])

FULL: dict[str, Any] = {
    "process": {
        "args": ["sh", "-c", "x"],
        "cwd": "/tmp",
        "env": {"A": "b=c", "E": ""},
        "user": "5:6",
        "groups": [7],
        "umask": 0o077,
        "terminal": True,
        "interactive": False,
        "rlimits": {"nofile": {"soft": 5, "hard": -1}},
        "oom_score_adj": 3,
    },
    "root": {"source": "base", "readonly": True},
    "mounts": [
        {"source": "/etc", "target": "/x", "readonly": True},
        {"source": "/etc", "target": "/y", "recursive": False, "idmap": True, "suid": True},
        {"type": "tmpfs", "target": "/dev/shm", "size": "1M", "mode": 0o700, "exec": False},
        {"type": "mqueue", "target": "/q"},
    ],
    "limits": {
        "memory": "64M",
        "memory_swap": 0,
        "cpus": 0.3333333,
        "cpu_weight": 300,
        "cpuset": "0",
        "pids": 10,
        "timeout": 5,
        "output": 100,
    },
    "privileges": {
        "cap_add": ["CAP_SYS_PTRACE"],
        "masked_paths": ["/x/y"],
        "unmask": True,
        "lsm_label": "profile",
    },
    "devices": [{"path": "/dev/null", "target": "/dev/nothing", "access": "r"}],
    "hostname": "host",
    "sysctl": {"net.ipv4.ip_forward": "1"},
    "hooks": {"poststop": [{"path": "/x", "args": ["x"], "env": {"A": "b"}, "timeout": 3}]},
    "annotations": {"a": "b"},
    "backend_options": {"runc": {"path": "/x"}},
    "require": ["root.fence"],
    "allow_degraded": ["view.time"],
}


def written(spec: Spec, **values: Any) -> dict[str, Any]:
    made = to_oci(spec, rootfs="/root", id="name", **values)
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def document(**values: Any) -> dict[str, Any]:
    spec = Spec.build({"process": {"args": ["true"]}, **values}, "")
    return written(spec, maps=None if values.get("privileges") else MAPS)


def test_both_directions_agree() -> None:
    spec = Spec.build(FULL, "")
    first = written(spec, maps=MAPS)
    back = from_oci(first)
    assert written(back) == first
    assert from_oci(written(back)) == back
    for name in ("root", "limits", "devices", "hooks", "sysctl", "require", "backend_options"):
        assert getattr(back, name) == getattr(spec, name)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "isolate": st.lists(st.sampled_from(["pids", "ipc", "cgroups"]), unique=True),
            "network": st.fixed_dictionaries({"mode": st.sampled_from(["none", "host"])}),
            "root": st.fixed_dictionaries(
                {"source": st.sampled_from(["base", "host", "/x"]), "readonly": st.booleans()}
            ),
            "privileges": st.sampled_from(
                [{"users": "host"}, {"privileged": True}, {"users": "host", "cap_drop": ["ALL"]}]
            ),
            "limits": st.fixed_dictionaries(
                {},
                optional={
                    "memory": st.integers(2**19, 2**50),
                    "cpus": st.floats(0.01, 4096),
                    "cpu_weight": st.integers(1, 10000),
                    "pids": st.integers(1, 2**22),
                },
            ),
        },
    )
)
def test_every_spec_comes_back_as_the_same_document(values: dict[str, Any]) -> None:
    first = document(**values)
    assert written(from_oci(first)) == first


@pytest.mark.parametrize(
    ("place", "value", "path"),
    [
        ("ociVersion", "2.0.0", "ociVersion"),
        ("domainname", "x", "domainname"),
        ("process.consoleSize", {"height": 1, "width": 1}, "process.consoleSize"),
        ("process.ioPriority", {"class": "x"}, "process.ioPriority"),
        ("process.user.username", "x", "process.user.username"),
        ("process.args", "sh", "process.args"),
        ("process.args", [1], "process.args[0]"),
        ("process.cwd", 5, "process.cwd"),
        ("process.env", ["x"], "process.env[0]"),
        ("process.env", ["A=1", "A=2"], "process.env[1]"),
        ("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}], "process.rlimits.x"),
        ("process.capabilities.effective", ["CAP_KILL"], "process.capabilities.effective"),
        ("process.capabilities.ambient", ["CAP_BPF"], "process.capabilities.ambient"),
        ("root.path", "", "root.path"),
        ("root", [], "root"),
        ("mounts", [{"destination": "/x", "type": "nfs"}], "mounts[0].type"),
        ("linux.namespaces", [{"type": "mount", "path": "/x"}], "linux.namespaces[0].path"),
        ("linux.namespaces", [{"type": "pid"}], "linux.namespaces"),
        ("linux.namespaces", [{"type": "moon"}], "linux.namespaces[0].type"),
        ("linux.rootfsPropagation", "shared", "linux.rootfsPropagation"),
        ("linux.intelRdt", {"closID": "x"}, "linux.intelRdt"),
        ("linux.personality", {"domain": "LINUX32"}, "linux.personality"),
        ("linux.readonlyPaths", ["/x"], "linux.readonlyPaths[0]"),
        ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"}, "linux.seccomp"),
        ("linux.resources.network", {"classID": 1}, "linux.resources.network"),
        ("linux.resources.memory", {"reservation": 1}, "linux.resources.memory.reservation"),
        ("linux.resources.memory", {"swappiness": 0}, "linux.resources.memory.swappiness"),
        ("linux.resources.memory", {"limit": 2**20, "swap": 1}, "linux.resources.memory.swap"),
        ("linux.resources.cpu", {"mems": "0"}, "linux.resources.cpu.mems"),
        ("linux.resources.blockIO", {"weight": 10}, "linux.resources.blockIO.weight"),
        (
            "linux.resources.devices",
            [{"allow": True, "access": "rwm"}],
            "linux.resources.devices[0]",
        ),
        ("annotations", {"isolate.x": "1"}, "annotations.isolate.x"),
        ("annotations", {"isolate.require": "["}, "annotations.isolate.require"),
        ("vm", {"hypervisor": {"path": "/x"}}, "vm"),
    ],
)
def test_a_refusal_names_the_place_in_the_document(place: str, value: object, path: str) -> None:
    changed = copy.deepcopy(document())
    *tables, key = place.split(".")
    table = changed
    for name in tables:
        table = table[name]
    table[key] = value
    with pytest.raises(SpecError) as caught:
        from_oci(changed)
    assert caught.value.path == path


@pytest.mark.parametrize("option", ["shared", "rslave", "noatime", "upperdir=/x", "mode=9"])
def test_an_option_of_a_mount_that_a_spec_has_no_word_for(option: str) -> None:
    changed = document()
    entry = {"destination": "/x", "source": "/etc", "options": ["rbind", option]}
    changed["mounts"].append(entry)
    with pytest.raises(SpecError, match="can't be expressed") as caught:
        from_oci(changed)
    assert caught.value.path == f"mounts[{len(changed['mounts']) - 1}].options[1]"


def test_a_mount_without_flags_honours_suid_and_devices() -> None:
    changed = document()
    changed["mounts"].append({"destination": "/x", "source": "/etc", "options": ["bind", "ro"]})
    mount = from_oci(changed).mounts[-1]
    assert (mount.suid, mount.dev, mount.exec, mount.readonly) == (True, True, True, True)
    assert not mount.recursive


def test_a_filter_is_named_by_its_file() -> None:
    changed = document()
    changed["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    assert from_oci(changed, seccomp="/p.json").privileges.seccomp == "/p.json"


def test_a_relative_root_starts_at_the_bundle() -> None:
    changed = document()
    del changed["annotations"]
    changed["root"]["path"] = "rootfs"
    assert from_oci(changed).root.source == "./rootfs"
    assert from_oci(changed, bundle="/b").root.source == "/b/rootfs"


def test_what_is_absent_is_the_hosts() -> None:
    spec = from_oci(
        {
            "ociVersion": "1.0.2",
            "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "root": {"path": "/r"},
            "linux": {"namespaces": [{"type": "mount"}]},
        }
    )
    assert spec.isolate == ("mounts",)
    assert spec.network.mode == "host"
    assert spec.privileges.users == "host"
    assert spec.privileges.seccomp == "unconfined"
    assert spec.privileges.capabilities == ()
    assert spec.privileges.no_new_privileges is False
