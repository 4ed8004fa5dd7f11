"""`isolate run` as an ordinary user: with subordinate ids, and with a single id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import needs
from tests.support.probes import probe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.accounts import Account
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns")


@pytest.fixture(params=["subids", "single"])
def anyone(request: pytest.FixtureRequest, rootless_cmd: Isolate, plain_cmd: Isolate) -> Isolate:
    """An ordinary user with subordinate ids, and one without."""
    if request.param == "subids":
        needs.require("newuidmap")
        return rootless_cmd
    return plain_cmd


def owner(isolate: Isolate) -> Account:
    assert isolate.account is not None
    return isolate.account


def run(isolate: Isolate, root: Path, *args: str) -> str:
    return isolate("run", f"--rootfs={root}", *args, check=True).stdout


def with_spec(isolate: Isolate, root: Path, spec: dict[str, Any], *args: str) -> Any:
    return isolate("run", f"--rootfs={root}", "--spec=-", *args, text=json.dumps(spec))


def test_it_is_a_container(anyone: Isolate, busybox: Path) -> None:
    script = (
        "id -u; id -g; hostname; echo /proc/[0-9]*; ls /sys/class/net; grep Seccomp: /proc/1/status"
    )
    said = run(anyone, busybox, "--hostname=mine", "--", "sh", "-c", script)
    assert said.split() == ["0", "0", "mine", "/proc/1", "lo", "Seccomp:", "2"]


def test_the_map_is_ones_own(anyone: Isolate, busybox: Path) -> None:
    rows = [
        line.split()
        for line in run(anyone, busybox, "--", "cat", "/proc/self/uid_map").splitlines()
    ]
    account = owner(anyone)
    assert rows[0] == ["0", str(account.uid), "1"]
    if account.subids is None:
        assert len(rows) == 1
    else:
        assert rows[1][:2] == ["1", str(account.subids)]


def test_groups_can_not_be_dropped_to_gain(plain_cmd: Isolate, busybox: Path) -> None:
    """Without subordinate ids they are kept, as some may be what forbids (CVE-2014-8989)."""
    assert run(plain_cmd, busybox, "--", "cat", "/proc/self/setgroups") == "deny\n"
    done = plain_cmd("run", "--", *probe("print(refused(os.setgroups, []))"), timeout=60)
    assert done.stdout == "EPERM\n"


def test_base_works_too(anyone: Isolate) -> None:
    done = anyone("run", "--", *probe("print(os.getuid(), os.getpid())"), timeout=60, check=True)
    assert done.stdout == "0 1\n"


def test_files_of_subordinate_ids_are_removed(rootless_cmd: Isolate, busybox: Path) -> None:
    """The fixture looks into the state directory afterwards."""
    needs.require("newuidmap")
    script = "mkdir -m 700 /d; echo x > /d/f; chown -R 7:8 /d; stat -c %u:%g /d"
    assert run(rootless_cmd, busybox, "--", "sh", "-c", script) == "7:8\n"


def test_files_of_a_killed_container_are_removed(rootless_cmd: Isolate, busybox: Path) -> None:
    needs.require("newuidmap")
    script = "mkdir -m 700 /d; echo x > /d/f; chown -R 7:8 /d; chmod 0 /d; echo ready; exec cat"
    args = ["run", "--name=orphan", f"--rootfs={busybox}", "--", "sh", "-c", script]
    with rootless_cmd.popen(*args) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.kill()
    done = rootless_cmd("run", "--name=orphan", f"--rootfs={busybox}", "--", "echo", "again")
    assert done.stdout == "again\n", done.stderr


def test_another_user_inside(rootless_cmd: Isolate, plain_cmd: Isolate, busybox: Path) -> None:
    needs.require("newuidmap")
    assert run(rootless_cmd, busybox, "--user=7:8", "--", "id") == "uid=7 gid=8\n"
    done = plain_cmd("run", f"--rootfs={busybox}", "--user=7:8", "--", "id")
    assert done.returncode == 125
    assert "map" in done.stderr


@pytest.mark.parametrize("limit", ["--memory=64M", "--pids=10", "--cpus=1", "--cpuset=0"])
def test_limits_without_a_delegated_cgroup(anyone: Isolate, busybox: Path, limit: str) -> None:
    done = anyone("run", f"--rootfs={busybox}", limit, "--", "true")
    assert done.returncode == 125
    feature = "limits." + limit[2:].partition("=")[0]
    error, hint = done.stderr.splitlines()
    assert feature in error
    assert feature in hint, "and how to go without"
    waived = anyone(
        "run", f"--rootfs={busybox}", limit, f"--allow-degraded={feature}", "--", "true"
    )
    assert waived.returncode == 0, waived.stderr


def test_what_only_root_may(anyone: Isolate, busybox: Path) -> None:
    for option in ("--privileged", "--userns=host"):
        done = anyone("run", f"--rootfs={busybox}", option, "--", "true")
        assert done.returncode == 125
        assert len(done.stderr.splitlines()) == 2
    chroot = anyone("run", "-b", "chroot", f"--rootfs={busybox}", "--", "true")
    assert chroot.returncode == 125
    assert "root" in chroot.stderr


def test_maps_of_others_are_refused(rootless_cmd: Isolate, busybox: Path) -> None:
    needs.require("newuidmap")
    account = owner(rootless_cmd)
    assert account.subids is not None
    outside = [0, 1, account.uid + 1, account.subids - 1, account.subids + 65536, 2**31]
    for first in outside:
        rows = [{"inside": 0, "outside": first, "size": 1}]
        spec = {"privileges": {"uid_map": rows, "gid_map": rows}}
        done = with_spec(rootless_cmd, busybox, spec, "--", "true")
        assert done.returncode == 125, first
        assert len(done.stderr.splitlines()) == 2


def test_maps_that_can_not_work_are_refused_early(rootless_cmd: Isolate, busybox: Path) -> None:
    """Without the caller nothing of the container could be reached, without root none be made."""
    needs.require("newuidmap")
    account = owner(rootless_cmd)
    own = {"inside": 0, "outside": account.uid, "size": 1}
    others = {"inside": 0, "outside": account.subids, "size": 10}
    for uids, gids, what in (
        (others, own, f"privileges.uid_map lacks your own id {account.uid}"),
        ({**own, "inside": 5}, own, "privileges.uid_map has no id for root inside"),
        (own, {**own, "inside": 5}, "privileges.gid_map has no id for root inside"),
    ):
        spec = {"privileges": {"uid_map": [uids], "gid_map": [gids]}}
        done = with_spec(rootless_cmd, busybox, spec, "--", "true")
        assert done.returncode == 125
        assert done.stderr.startswith(f"error: {what}")
        assert len(done.stderr.splitlines()) == 2


def test_a_map_of_ones_own_choice(rootless_cmd: Isolate, busybox: Path) -> None:
    needs.require("newuidmap")
    account = owner(rootless_cmd)
    assert account.subids is not None
    own = {"inside": 0, "outside": account.uid, "size": 1}
    rows = [own, {"inside": 5, "outside": account.subids + 7, "size": 100}]
    spec = {"privileges": {"uid_map": rows, "gid_map": rows}}
    done = with_spec(rootless_cmd, busybox, spec, "--", "cat", "/proc/self/uid_map")
    words = [str(number) for row in rows for number in row.values()]
    assert done.stdout.split() == words, done.stderr


def test_a_range_that_reaches_beyond_ones_own(rootless_cmd: Isolate, busybox: Path) -> None:
    account = owner(rootless_cmd)
    assert account.subids is not None
    rows = [{"inside": 0, "outside": account.subids + 65530, "size": 7}]
    spec = {"privileges": {"uid_map": rows, "gid_map": rows}}
    assert with_spec(rootless_cmd, busybox, spec, "--", "true").returncode == 125


def test_volumes_stay_within_the_users_rights(anyone: Isolate, busybox: Path) -> None:
    home = owner(anyone).home
    volume = home / "volume"
    account = owner(anyone)
    assert account.run("mkdir", "-p", str(volume)).returncode == 0
    run(anyone, busybox, f"-v{volume}:/v", "--", "touch", "/v/made")
    assert (volume / "made").stat().st_uid == account.uid
    said = anyone("run", f"--rootfs={busybox}", "-v/etc:/v", "--", "cat", "/v/shadow")
    assert said.returncode == 1
    assert said.stdout == ""
    (volume / "made").unlink()
    volume.rmdir()


def test_a_submount_flag_stays_locked(anyone: Isolate) -> None:
    """What is read-only on the host for this user stays so inside."""
    code = "print(refused(os.open, '/proc/sys/kernel/core_pattern', os.O_WRONLY))"
    done = anyone("run", "--rootfs=host", "--", *probe(code), timeout=60)
    assert done.stdout.strip() in ("EROFS", "EACCES"), done.stderr


def test_the_deadline_and_the_bomb(anyone: Isolate, busybox: Path) -> None:
    """Without a cgroup: the pid namespace ends with its first process."""
    bomb = "b() { sleep 0.05; b & b & }; (b) & (b) & exec sleep 1000"
    args = ["--timeout=0.3", "--allow-degraded=limits.timeout", f"--rootfs={busybox}"]
    done = anyone("run", *args, "--", "sh", "-c", bomb, timeout=60)
    assert done.returncode == 124, done.stderr


def test_nothing_survives_without_a_pid_namespace(anyone: Isolate, busybox: Path) -> None:
    """The views may be chosen; a process that stays behind may not be the price."""
    spec = {"isolate": ["mounts"]}
    script = "(setsid sleep 1000 >/dev/null 2>&1 &); echo end"
    done = with_spec(anyone, busybox, spec, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, "end\n")


def test_terminal(anyone: Isolate, busybox: Path) -> None:
    said = run(anyone, busybox, "--tty", "--", "sh", "-c", "tty; echo x > /dev/tty")
    assert said.split() == ["/dev/pts/0", "x"]


def test_killed_with_its_launcher(anyone: Isolate, busybox: Path) -> None:
    args = ["run", "--name=gone", f"--rootfs={busybox}", "--", "sh", "-c", "echo ready; exec cat"]
    with anyone.popen(*args) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.kill()
        assert running.stdout.read() == b""
    assert anyone("gc").returncode == 0
