"""A spec as config.json: what stands where, and what OCI can't be told."""

from __future__ import annotations

from typing import Any

import pytest

from isolate.errors import SpecError
from isolate.oci import VERSION, User, to_oci
from isolate.spec import Spec

MAPS = ([(0, 100000, 65536)], [(0, 200000, 65536)])


def spec(**values: Any) -> Spec:
    return Spec.build({"process": {"args": ["true"]}, **values}, "")


def document(**values: Any) -> dict[str, Any]:
    return to_oci(spec(**values), rootfs="/root", id="name", maps=MAPS)


def kinds(made: dict[str, Any]) -> set[str]:
    return {each["type"] for each in made["linux"]["namespaces"]}


def test_what_is_unsaid_is_the_safe_default() -> None:
    made = document()
    assert made["ociVersion"] == VERSION
    assert kinds(made) == {"mount", "pid", "network", "ipc", "uts", "user", "cgroup", "time"}
    assert made["process"]["noNewPrivileges"] is True
    assert made["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert made["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert "/proc/kcore" in made["linux"]["maskedPaths"]
    assert made["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert made["hostname"] == "name"
    sets = made["process"]["capabilities"]
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert "CAP_SYS_ADMIN" not in sets["bounding"]
    assert sets.keys() == {"bounding", "effective", "permitted"}


def test_limits() -> None:
    limits = {"memory": 2**26, "memory_swap": 2**20, "cpus": 0.5, "cpuset": "0", "pids": 7}
    found = document(limits=limits)["linux"]["resources"]
    assert found["memory"] == {"limit": 2**26, "swap": 2**26 + 2**20}
    assert found["cpu"] == {"quota": 50000, "period": 100000, "cpus": "0"}
    assert found["pids"] == {"limit": 7}


def test_a_weight_goes_where_the_version_of_cgroups_wants_it() -> None:
    asked = spec(limits={"cpu_weight": 100})
    old = to_oci(asked, rootfs="/r", id="i", maps=MAPS)["linux"]["resources"]
    new = to_oci(asked, rootfs="/r", id="i", maps=MAPS, cgroup2=True)["linux"]["resources"]
    assert old["cpu"] == {"shares": 1024}
    assert new["unified"] == {"cpu.weight": "100"}


def test_the_hosts_network_takes_its_namespace_and_a_fresh_sysfs_away() -> None:
    made = document(network={"mode": "host"})
    assert "network" not in kinds(made)
    (sys,) = (mount for mount in made["mounts"] if mount["destination"] == "/sys")
    assert sys["type"] == "bind"
    assert "rro" in sys["options"]


def test_a_volume_is_read_only_with_all_that_lies_below() -> None:
    made = document(mounts=[{"source": "/etc", "target": "/x", "readonly": True}])
    mount = made["mounts"][-1]
    assert (mount["destination"], mount["source"]) == ("/x", "/etc")
    assert {"rbind", "rro", "rnosuid", "rnodev"} <= set(mount["options"])


def test_the_user_that_was_looked_up() -> None:
    made = to_oci(spec(), rootfs="/r", id="i", maps=MAPS, user=User(5, 6, (7,), "/home/x"))
    assert made["process"]["user"] == {"uid": 5, "gid": 6, "umask": 0o022, "additionalGids": [7]}
    assert "HOME=/home/x" in made["process"]["env"]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"process": {"args": ["x"], "user": "name"}}, "process.user"),
        ({"hooks": {"prestart": [{"path": "/x", "timeout": 0.5}]}}, "hooks.prestart[0].timeout"),
        ({"annotations": {"isolate.x": "y"}}, "annotations.isolate.x"),
        ({"devices": [{"path": "/etc/passwd"}]}, "devices[0].path"),
        ({"privileges": {"seccomp": "/nowhere"}}, "privileges.seccomp"),
    ],
)
def test_what_oci_has_no_word_for(values: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        document(**values)
    assert caught.value.path == path


def test_a_user_namespace_without_ids() -> None:
    with pytest.raises(SpecError, match=r"privileges\.uid_map"):
        to_oci(spec(), rootfs="/r", id="i")
