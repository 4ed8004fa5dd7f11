"""The LXC backend end to end: what the contract doesn't ask, and what LXC must not leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.linux import capabilities
from isolate.linux.seccomp.policy import ACTION, ALLOW, ENOSYS, ERRNO
from isolate.native import filters
from tests.support import bpf_machine, kernel_filters

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.command import Isolate

pytestmark = [pytest.mark.needs("root", "lxc-execute")]


class Runner:
    """`isolate run` with LXC; what follows the options is a shell script."""

    def __init__(self, isolate: Isolate) -> None:
        self.isolate = isolate

    def __call__(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.isolate("run", "--backend=lxc", *options, "--", "sh", "-c", script)

    def out(self, script: str, *options: str) -> str:
        done = self(script, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def run(isolate_cmd: Isolate) -> Runner:
    return Runner(isolate_cmd)


@pytest.fixture
def detached(isolate_cmd: Isolate) -> Iterator[str]:
    """A container that runs in the background."""
    name = isolate_cmd("run", "--backend=lxc", "-d", "--", "sleep", "60", check=True).stdout.strip()
    yield name
    isolate_cmd("delete", "--force", name, check=True)


def pid_of(isolate: Isolate, name: str) -> int:
    return int(json.loads(isolate("inspect", name, check=True).stdout)[0]["handle"]["pid"])


def test_streams_and_exit_code(run: Runner) -> None:
    done = run("cat; echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_streams_are_exact_to_the_byte(isolate_cmd: Isolate, size: int) -> None:
    sent = os.urandom(size)
    with isolate_cmd.popen("run", "--backend=lxc", "--", "cat") as process:
        out, err = process.communicate(sent, timeout=30)
    assert (out == sent, err, process.returncode) == (True, b"", 0)


@pytest.mark.parametrize(
    ("program", "status"), [("nowhere", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
@pytest.mark.parametrize("terminal", [(), ("-t",)])
def test_a_program_that_cannot_be_executed(
    isolate_cmd: Isolate, program: str, status: int, terminal: tuple[str, ...]
) -> None:
    done = isolate_cmd("run", "--backend=lxc", *terminal, "--", program)
    assert done.returncode == status
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_a_signal_that_is_passed_on(run: Runner) -> None:
    words = ("run", "--backend=lxc", "--", "sh", "-c", "echo up; exec sleep 30")
    with run.isolate.popen(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_no_signal_is_blocked_or_ignored(run: Runner) -> None:
    found = run.out("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    assert [int(line.split()[1], 16) for line in found.splitlines()] == [0, 0]


def test_a_reboot_ends_the_program_and_does_not_start_it_again(run: Runner) -> None:
    """LXC starts a container again whose first process was ended by reboot(2), by SIGHUP."""
    script = (
        "import ctypes; print('up', flush=True)\n"
        "ctypes.CDLL(None).reboot(0x01234567)\n"  # LINUX_REBOOT_CMD_RESTART
    )
    done = run.isolate("run", "--backend=lxc", "--cap-add=SYS_BOOT", "--", "python3", "-c", script)
    assert (done.stdout, done.returncode) == ("up\n", 128 + signal.SIGHUP)


def test_the_environment_arrives_as_it_is(run: Runner) -> None:
    values = ["  x  ", '"q"', "'", "#", "a\nlxc.cap.keep = all\n", "\t", "", "é\x7f\r", "$HOME %s"]
    options = [f"--env=V{number}={value}" for number, value in enumerate(values)]
    names = ", ".join(f"'V{number}'" for number in range(len(values)))
    script = f"import json, os; print(json.dumps([os.environ[n] for n in ({names})]))"
    done = run.isolate("run", "--backend=lxc", *options, "--", "python3", "-c", script, check=True)
    assert json.loads(done.stdout) == values


def test_nothing_lands_where_lxc_keeps_its_own(run: Runner) -> None:
    def found() -> set[str]:
        return {
            str(path) for base in ("/run/lxc", "/var/lib/lxc") for path in Path(base).rglob("*")
        }

    before, mounts = found(), Path("/proc/self/mountinfo").read_text()
    assert run.out("echo in") == "in"
    assert found() == before
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_the_containers_mount_table_tells_no_path_of_the_host(run: Runner, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text("content")
    (tmp_path / "file").chmod(0o644)
    tmp_path.chmod(0o755)
    # The volume lies below a directory that the container's root may not pass.
    tmp_path.parent.chmod(0o700)
    found = run.out("cat /v/file; cat /proc/self/mountinfo", "-v", f"{tmp_path}:/v")
    assert found.startswith("content")
    assert str(run.isolate.state) not in found
    assert str(run.isolate.cache) not in found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with a shell and nothing else."""
    found = shutil.which("busybox")
    assert found is not None
    tmp_path.chmod(0o755)
    (tmp_path / "root" / "bin").mkdir(parents=True)
    shutil.copy(found, tmp_path / "root" / "bin" / "sh")
    return tmp_path / "root"


@pytest.mark.needs("busybox")
def test_mount_points_behind_links_stay_inside(run: Runner, root: Path, tmp_path: Path) -> None:
    """The root's /proc, /dev, /sys and a mount point are links to a directory of the host."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("dev", "proc", "sys", "data"):
        (root / name).symlink_to(outside)
    done = run("echo in", f"--rootfs=dir:{root}", "--tmpfs=/data/deep")
    assert list(outside.iterdir()) == []
    assert done.returncode in (0, 125)  # resolved inside, or refused


def test_mount_points_in_a_volume_stay_in_it(run: Runner, tmp_path: Path) -> None:
    """A link of the volume's leads to a directory of the host, in which LXC would make one."""
    outside, volume = tmp_path / "outside", tmp_path / "volume"
    for made in (outside, volume):
        made.mkdir()
        made.chmod(0o777)
    (volume / "link").symlink_to(outside)
    done = run("true", f"--volume={volume}:/data", "--tmpfs=/data/link/made")
    assert list(outside.iterdir()) == []
    assert done.returncode == 125
    assert "the mount point link/made in a volume" in done.stderr
    script = "echo x >/data/new/deep/made && cat /data/new/deep/made"
    assert run.out(script, f"--volume={volume}:/data", "--tmpfs=/data/new/deep") == "x"


def test_a_mount_point_behind_a_link_is_found(run: Runner) -> None:
    script = "echo x >/var/run/deep/made && cat /run/deep/made"
    assert run.out(script, "--tmpfs=/var/run/deep") == "x"


@pytest.mark.needs("busybox")
@pytest.mark.parametrize("number", range(3, 15))
def test_no_directory_of_the_hosts_is_entered(run: Runner, root: Path, number: int) -> None:
    """The class of CVE-2024-21626: LXC's own descriptors lead to the host, and it enters them."""
    (root / "way").symlink_to(f"/proc/self/fd/{number}")
    for cwd in (f"/proc/self/fd/{number}", "/way"):
        done = run("echo entered", f"--rootfs=dir:{root}", f"--workdir={cwd}")
        assert done.returncode == 125, done.stderr
        assert done.stdout == ""


@pytest.mark.needs("busybox")
def test_groups_are_not_dropped_in_silence(run: Runner, root: Path, tmp_path: Path) -> None:
    """LXC sets no supplementary groups in a user namespace: neither asked for, nor /etc/group's."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"process": {"groups": [7]}}))
    assert "process.groups" in run("true", f"--spec={spec}").stderr
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("user:x:50:50::/:/bin/sh\n")
    (root / "etc" / "group").write_text("extra:x:77:user\n")
    assert "77" in run("true", f"--rootfs=dir:{root}", "--user=user").stderr
    assert run("echo in", f"--rootfs=dir:{root}", "--user=50:50").stdout == "in\n"


def test_a_terminal_translates_newlines_once(run: Runner) -> None:
    for _ in range(3):  # it was a race, once
        assert _typed(run.isolate, "stty -echo; echo one; read x; echo got=$x; tty") == (
            b"one\r\ngot=typed\r\n/dev/pts/0\r\n"
        )


def _typed(isolate: Isolate, script: str) -> bytes:
    master, peer = pty.openpty()
    words = ("run", "--backend=lxc", "-t", "--", "sh", "-c", script)
    out = b""
    try:
        with isolate.popen(*words, stdin=peer, stdout=peer, stderr=peer) as process:
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                out += _read(master)
                if b"one" in out and b"got" not in out:
                    os.write(master, b"typed\r")
                    while b"got" not in out and time.monotonic() < deadline:
                        out += _read(master)
            out += _read(master)
            assert process.wait(5) == 0
    finally:
        os.close(master)
        os.close(peer)
    return out


def _read(master: int) -> bytes:
    ready, _, _ = select.select([master], [], [], 0.1)
    return os.read(master, 65536) if ready else b""


def test_the_filter_is_as_strict_as_our_own_in_the_kernel(
    isolate_cmd: Isolate, detached: str
) -> None:
    """Both filters as the kernel has them, against the default profile as we compile it."""
    programs = kernel_filters.of(pid_of(isolate_cmd, detached))
    own = filters.program("default", capabilities.DEFAULT)
    assert own is not None
    assert len(programs) == 2
    unequal = []
    for number, arch, arguments in _calls():
        found = min(
            (bpf_machine.answer(each, number, *arguments, arch=arch) for each in programs),
            key=_strictness,
        )
        ours = bpf_machine.answer(own.program, number, *arguments, arch=arch)
        freer = found == ALLOW != ours
        assert not freer, (number, hex(arch), arguments)
        if found != ours:
            unequal.append((number, found, ours))
    # The rest: x32, numbers that no call has, and calls that an older libseccomp doesn't know.
    assert {found for _number, found, _ours in unequal} <= {ERRNO | ENOSYS, ERRNO | 1}
    known = [number for number, _found, _ours in unequal if number < 335]
    assert known == []


def _strictness(action: int) -> int:
    """As the kernel ranks actions: a signed comparison, KILL_PROCESS first."""
    kind = action & ACTION
    return kind - (1 << 32) if kind >> 31 else kind


def _calls() -> Iterator[tuple[int, int, tuple[int, int, int]]]:
    interesting = [
        (0, 0, 0),
        (1, 1, 1),
        (0x11, 0x5413, 0),  # clone as fork; TIOCGWINSZ
        (0x7E020000, 0x5412, 0),  # namespaces; TIOCSTI
        (0x10000000, 0x541C, 0),  # a user namespace; TIOCLINUX
        (1 << 32 | 0x11, 1 << 32 | 0x5412, 0),  # with bits that the kernel drops
        (0xFFFFFFFF, 0x5401, 0),
        (2, 2, 0),  # AF_INET
        (16, 3, 0),
        (17, 4, 0),  # AF_PACKET
        (40, 5, 0),  # AF_VSOCK
        (0x20008, 0, 0),
    ]
    for number in (*range(600), 0x3FFFFFFF, *range(bpf_machine.X32, bpf_machine.X32 + 600)):
        for arguments in interesting:
            yield number, bpf_machine.X86_64, arguments
    for number in range(500):
        yield number, bpf_machine.I386, (1, 0x5412, 0)


def test_an_exec_is_no_freer(isolate_cmd: Isolate, detached: str) -> None:
    script = "cat /proc/self/status; readlink /proc/self/ns/*; cat /proc/self/cgroup; exit 3"
    done = isolate_cmd("exec", detached, "--", "sh", "-c", script)
    assert done.returncode == 3
    status = dict(line.split(":\t") for line in done.stdout.splitlines() if ":\t" in line)
    assert status["CapBnd"] == status["CapEff"] == f"{capabilities.DEFAULT:016x}"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    pid = pid_of(isolate_cmd, detached)
    own = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/ns")}
    assert {line for line in done.stdout.splitlines() if ":[" in line} == own
    assert "isolate-" not in done.stdout  # the cgroup is the root of its own view


def test_killed_with_its_launcher_nothing_is_left(isolate_cmd: Isolate) -> None:
    """As another user than root, whose death signal the kernel clears: gc ends it too."""
    for options in ((), ("--user=nobody",)):
        words = ("run", "--backend=lxc", *options, "--", "sh", "-c", "echo up; exec sleep 60")
        with isolate_cmd.popen(*words) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            (name,) = os.listdir(isolate_cmd.state / "containers")
            pid = pid_of(isolate_cmd, name)
            process.kill()
        isolate_cmd("gc", check=True)
        assert os.listdir(isolate_cmd.state / "containers") == []
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_many_at_once(isolate_cmd: Isolate) -> None:
    with contextlib.ExitStack() as stack:
        words = ("run", "--backend=lxc", "--", "sh", "-c")
        running = [
            stack.enter_context(isolate_cmd.popen(*words, f"exit {number}")) for number in range(8)
        ]
        assert [process.wait(30) for process in running] == list(range(8))


def test_explain_shows_configuration_and_command(isolate_cmd: Isolate) -> None:
    words = ("--backend=lxc", "--memory=64M", "--env=A=b", "--dry-run", "--", "echo", "hi")
    done = isolate_cmd("run", *words, check=True)
    for part in ("lxc.rootfs.path", "lxc.idmap", "lxc.environment = A=b", "lxc-start", "echo hi"):
        assert part in done.stdout
    assert "67108864" in done.stdout


def test_lxcs_own_words_are_kept(run: Runner) -> None:
    done = run("true", "--workdir=/none")
    assert done.returncode == 125
    assert done.stderr.startswith("error: lxc-start: ")
    assert "/none" in done.stderr
