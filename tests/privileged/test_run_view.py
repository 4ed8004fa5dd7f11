"""What a program in the namespaces backend sees of the host: nothing that isn't its own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.privileged.test_run_status import result_of

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

NAMESPACES = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"]


@pytest.fixture
def say(isolate_cmd: Isolate, busybox: Path) -> Say:
    return Say(isolate_cmd, busybox)


class Say:
    """The output of a shell script inside."""

    def __init__(self, isolate: Isolate, root: Path) -> None:
        self.isolate = isolate
        self.root = root

    def __call__(self, script: str, *options: str) -> str:
        words = ["run", f"--rootfs={self.root}", *options, "--", "sh", "-c", script]
        return self.isolate(*words, check=True).stdout


def test_every_namespace_is_its_own(say: Say) -> None:
    links = say("".join(f"readlink /proc/self/ns/{name};" for name in NAMESPACES)).split()
    for name, link in zip(NAMESPACES, links, strict=True):
        assert link.startswith(f"{name}:[")
        assert link != os.readlink(f"/proc/self/ns/{name}")


def test_proc_shows_only_its_own_processes(say: Say) -> None:
    assert say("cd /proc; echo [0-9]*").split() == ["1"]
    assert say("echo $$; readlink /proc/1/exe").split() == ["1", "/bin/busybox"]


def test_root_inside_is_not_root_outside(isolate_cmd: Isolate, busybox: Path) -> None:
    """Seen from the host: the process's ids, its files' owner."""
    args = ["run", f"--rootfs={busybox}", "--name=seen", "--"]
    with isolate_cmd.popen(*args, "sh", "-c", "touch /made; id -u; read x") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"0\n"
        shown = json.loads(isolate_cmd("inspect", "seen", check=True).stdout)
        record = shown[0] if isinstance(shown, list) else shown
        status = Path(f"/proc/{record['handle']['pid']}/status").read_text()
        ids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        (made,) = isolate_cmd.state.glob("containers/seen/upper/made")
        owner = made.stat().st_uid
        running.communicate(b"\n")
    assert len(set(ids)) == 1
    assert int(ids[0]) == owner >= 2**30


def test_two_containers_share_no_id(isolate_cmd: Isolate, busybox: Path) -> None:
    words = ["run", f"--rootfs={busybox}", "--", "sh", "-c", "cat /proc/self/uid_map; read x"]
    with isolate_cmd.popen(*words) as one, isolate_cmd.popen(*words) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        maps = [running.stdout.readline().split() for running in (one, other) if running.stdout]
        for running in (one, other):
            running.communicate(b"\n")
    starts = [int(row[1]) for row in maps]
    assert abs(starts[0] - starts[1]) >= 65536
    assert [int(row[2]) for row in maps] == [65536, 65536]


@pytest.mark.parametrize("options", [[], ["--userns=host"], ["-b", "chroot"]], ids=str)
def test_no_group_of_the_caller_is_kept(say: Say, options: list[str]) -> None:
    say.isolate.under = ("setpriv", "--groups=4,24", "--")
    assert say("id -G; grep Groups /proc/self/status", *options).split() in (
        ["0", "Groups:"],
        ["0", "Groups:", "0"],
    )


def test_the_clock_begins_now(say: Say) -> None:
    assert float(say("cut -d' ' -f1 /proc/uptime")) < 5
    assert time.clock_gettime(time.CLOCK_BOOTTIME) > 10


def test_the_cgroup_is_the_root(say: Say) -> None:
    assert {line.split(":", 2)[2] for line in say("cat /proc/self/cgroup").splitlines()} == {"/"}


def test_no_path_of_the_host_in_the_mount_table(say: Say, tmp_path: Path) -> None:
    table = say("cat /proc/self/mountinfo /proc/self/mounts", f"-v{tmp_path}:/data")
    table = "\n".join(line for line in table.splitlines() if " /data " not in line)
    for path in (say.isolate.state, say.isolate.cache, say.root, tmp_path):
        assert str(path) not in table


@pytest.mark.parametrize("options", [[], ["--init"], ["--max-output=1M"]], ids=str)
@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
def test_no_descriptor_above_two(say: Say, backend: str, options: list[str]) -> None:
    if backend == "chroot" and options == ["--init"]:
        options = []
    seen = say("exec ls /proc/self/fd", "-b", backend, *options).split()
    assert seen == ["0", "1", "2", "3"], "3 is the listing's own"


def test_an_init_holds_nothing_of_ours(say: Say) -> None:
    """Its command line, environment and files tell nothing, to anybody inside."""
    script = "cat /proc/1/cmdline | tr '\\0' ' '; ls /proc/1/fd /proc/1/environ /proc/1/exe 2>&1;"
    script += "cat /proc/1/environ; readlink /proc/1/exe /proc/1/cwd /proc/1/root; true"
    said = say(f"({script}) 2>&1", "--init")
    for secret in (str(say.isolate.state), str(say.root), "python", "ISOLATE", "/usr"):
        assert secret not in said


def test_the_five_capability_sets(say: Say) -> None:
    lines = dict(line.split() for line in say("grep Cap /proc/self/status").splitlines())
    full = f"{0xA80425FB:016x}"
    assert lines == {
        **dict.fromkeys(("CapPrm:", "CapEff:", "CapBnd:"), full),
        **dict.fromkeys(("CapInh:", "CapAmb:"), "0" * 16),
    }


def test_an_ordinary_user_inside_has_no_capability(say: Say) -> None:
    lines = say("grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status", "--user=7")
    assert {line.split()[1] for line in lines.splitlines()} == {"0" * 16}


def test_flags_of_the_process(say: Say) -> None:
    status = say("grep -E 'NoNewPrivs|Seccomp:|Umask|Groups|CoreDumping' /proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    assert fields["Umask"].strip() == "0022"
    assert say("umask; pwd; cat /proc/self/oom_score_adj").split() == ["0022", "/", "0"]
    assert say("cut -d' ' -f5,6,7 /proc/self/stat").split()[2] == "0", "no controlling terminal"


def test_the_environment_is_minimal(say: Say) -> None:
    say.isolate.environment["SECRET_TOKEN"] = "leaked"  # noqa: S105 - the canary
    lines = set(say("exec env").splitlines())
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines - {"PWD=/", "SHLVL=1"} == {"HOME=/", f"PATH={path}"}


def test_host_name_and_domain(say: Say) -> None:
    assert say("cat /proc/sys/kernel/hostname", "--name=mine").strip() == "mine"
    assert say("hostname; cat /proc/sys/kernel/hostname", "--hostname=h").split() == ["h", "h"]


def test_only_the_devices_that_everyone_has(say: Say) -> None:
    listing = say("cd /dev; echo *; ls -l /dev/fd /dev/stdin /dev/ptmx; echo x > null; cat null")
    assert listing.splitlines()[0].split() == sorted(
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split()
    )
    assert say("stat -c %t:%T /dev/null /dev/zero /dev/full /dev/tty").split() == [
        *("1:3", "1:5", "1:7", "5:0"),
    ]


def test_ipc_of_the_host_is_not_seen(say: Say) -> None:
    assert say("cat /proc/sysvipc/shm | wc -l; ls /dev/mqueue /dev/shm").split()[0] == "1"


def test_the_receipt_holds_in_every_row(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(
        isolate_cmd,
        *("-m64M", "--pids=20", "--cpus=1", "--cpuset=0", "--rlimit=core=0", "--read-only"),
        *("--network=none", f"--rootfs={busybox}", "--", "true"),
    )
    features = {row["feature"] for row in result["receipt"]}
    assert {
        *("root", "root.fence", "root.readonly", "view.users", "network.none"),
        *("privileges.capabilities", "privileges.no_new_privileges", "privileges.seccomp"),
        *("limits.memory", "limits.pids", "limits.cpus", "limits.cpuset", "process.rlimits"),
    } <= features
    assert all(row["holds"] for row in result["receipt"])
