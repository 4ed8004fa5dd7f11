"""The runc and crun backends end to end: what they claim works, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = [pytest.mark.needs("root")]


@pytest.fixture(
    params=[
        pytest.param("runc", marks=pytest.mark.needs("runc")),
        pytest.param("crun", marks=pytest.mark.needs("crun")),
    ]
)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Runner:
    """`isolate run` with one of the two; what follows the options is a shell script."""

    def __init__(self, isolate: Isolate, backend: str) -> None:
        self.isolate = isolate
        self.backend = backend

    def __call__(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = ("run", f"--backend={self.backend}", *options, "--", "sh", "-c", script)
        return self.isolate(*words)

    def out(self, script: str, *options: str) -> str:
        done = self(script, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def run(isolate_cmd: Isolate, backend: str) -> Runner:
    return Runner(isolate_cmd, backend)


def test_streams_and_exit_code(run: Runner) -> None:
    done = run("cat; echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_a_signal_from_inside(run: Runner) -> None:
    done = run("sh -c 'kill -SEGV $$'; exit $?")
    assert done.returncode == 128 + signal.SIGSEGV


def test_a_signal_that_is_passed_on(run: Runner) -> None:
    words = ("run", f"--backend={run.backend}", "--", "sh", "-c", "echo up; exec sleep 30")
    with run.isolate.popen(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_no_signal_is_blocked_or_ignored(run: Runner) -> None:
    found = run.out("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    assert [int(line.split()[1], 16) for line in found.splitlines()] == [0, 0]


@pytest.mark.parametrize(
    ("program", "status"), [("nowhere", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
def test_a_program_that_cannot_be_executed(run: Runner, program: str, status: int) -> None:
    done = run.isolate("run", f"--backend={run.backend}", "--", program)
    assert done.returncode == status
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_a_program_of_a_volume_that_is_none(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("no program")
    (tmp_path / "bad").chmod(0o755)
    tmp_path.chmod(0o755)
    words = ("run", f"--backend={run.backend}", "-v", f"{tmp_path}:/v", "--")
    assert run.isolate(*words, "/v/bad").returncode == 126
    assert run.isolate(*words, "/v/none").returncode == 127


def test_rights_are_the_default_ones(run: Runner) -> None:
    lines = run.out("cat /proc/self/status /proc/self/uid_map").splitlines()
    found = {line.split(":")[0]: line.split()[-1] for line in lines if ":" in line}
    assert found["CapBnd"] == found["CapEff"] == "00000000a80425fb"
    assert found["CapInh"] == found["CapAmb"] == "0000000000000000"
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert int(lines[-1].split()[1]) >= 0x40000000


def test_the_filter_is_in_force(run: Runner) -> None:
    """TIOCSTI is refused by the filter, with whatever stands in the upper half."""
    script = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for high in (0, 1 << 32):\n"
        "    request = ctypes.c_ulong(high | 0x5412)\n"
        "    libc.syscall(ctypes.c_long(16), ctypes.c_long(0), request, b'x')\n"
        "    print(ctypes.get_errno())\n"
        "libc.syscall(ctypes.c_long(165), 0, 0, 0, 0, 0)\n"
        "print(ctypes.get_errno())\n"
    )
    python = run.isolate("run", f"--backend={run.backend}", "--", "python3", "-c", script)
    assert python.stdout.split() == ["1", "1", "1"], python.stderr


def test_namespaces_of_its_own(run: Runner) -> None:
    found = run.out("readlink /proc/self/ns/*; ls /sys/class/net; ls -d /proc/[0-9]*").split()
    own = {os.readlink(entry.path) for entry in os.scandir("/proc/self/ns")}
    shared = {name.split(":")[0] for name in own & set(found)}
    assert shared <= {"time", "time_for_children"}
    assert "lo" in found
    assert "eth0" not in found
    assert "/proc/1" in found


def test_the_root_is_writable_and_its_source_is_not_written_to(run: Runner, tmp_path: Path) -> None:
    assert run.out("touch /made && stat -c %u /made /etc") == "0\n0"
    assert run.out("ls /").split().count("made") == 0


def test_a_read_only_root(run: Runner) -> None:
    assert "Read-only" in run("touch /made", "--read-only").stderr


def test_the_hosts_tree_as_root(run: Runner) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    done = run("ls /tmp /run; cat /etc/hostname; touch /etc/made", "--rootfs=host")
    # The session's mounts are shared, as systemd's are: nothing may reach them from inside.
    assert Path("/proc/self/mountinfo").read_text() == before
    assert Path("/etc/hostname").read_text() in done.stdout
    assert "Read-only" in done.stderr


def test_volumes(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    tmp_path.chmod(0o755)
    (tmp_path / "file").chmod(0o644)
    assert run.out("cat /v/file", "-v", f"{tmp_path}:/v") == "content"
    assert "Read-only" in run("touch /v/x", "-v", f"{tmp_path}:/v:ro").stderr
    assert run.out("cat /one", "-v", f"{tmp_path}/file:/one:ro") == "content"


def test_what_is_mounted_below_a_volume_is_as_read_only(run: Runner, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "below", f"{tmp_path}/below"], check=True)
    try:
        assert "Read-only" in run("touch /v/below/x", "-v", f"{tmp_path}:/v:ro").stderr
    finally:
        subprocess.run(["umount", f"{tmp_path}/below"], check=True)


def test_a_volume_with_owners_through_the_map(run: Runner, tmp_path: Path) -> None:
    assert run.out("touch /v/made && stat -c %u /v", "-v", f"{tmp_path}:/v:idmap") == "0"
    assert (tmp_path / "made").stat().st_uid == 0


def test_memory_filesystems_and_masks(run: Runner) -> None:
    options = ("--tmpfs", "/t:size=1M", "--mask", "/etc/passwd")
    assert run.out("df -k /t | tail -1; cat /etc/passwd; echo end", *options).split() == [
        *("tmpfs", "1024", "0", "1024", "0%", "/t"),
        "end",
    ]


def test_a_device(run: Runner) -> None:
    option = "--device=/dev/zero:/dev/other:r"
    script = "head -c 3 /dev/other | od -An -c; echo x > /dev/other"
    assert run.out(f"{script} || true", option).split() == ["\\0"] * 3
    assert run("head -c 1 /dev/other").returncode == 1


def test_identity_hostname_rlimits_environment(run: Runner) -> None:
    options = ("--user=nobody", "--hostname=box", "--rlimit=nofile=50:60", "--env=A=b c", "-w/tmp")
    script = "id -u; hostname; ulimit -Sn; ulimit -Hn; echo $A; pwd; umask"
    expected = ["65534", "box", "50", "60", "b c", "/tmp", "0022"]
    assert run.out(script, *options).splitlines() == expected


def test_kernel_parameters_and_the_hosts_network(run: Runner, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"sysctl": {"net.ipv4.ip_forward": "1"}}))
    assert run.out("cat /proc/sys/net/ipv4/ip_forward", f"--spec={spec}") == "1"
    assert run.out("readlink /proc/self/ns/net", "--network=host") == os.readlink(
        "/proc/self/ns/net"
    )


def test_root_outside_where_it_is_asked_for(run: Runner) -> None:
    assert run.out("cat /proc/self/uid_map", "--userns=host").split()[1] == "0"
    assert "Seccomp:\t0" in run.out("cat /proc/self/status", "--privileged")


def test_hooks(run: Runner, tmp_path: Path) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/state"]}
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"hooks": {"poststop": [hook]}}))
    assert run.out("echo in", f"--spec={spec}") == "in"
    assert json.loads((tmp_path / "state").read_text())["status"] == "stopped"


@pytest.mark.needs("cgroup:memory", "cgroup:pids", "cgroup:cpu", "cgroup:cpuset")
def test_limits_are_read_back(run: Runner, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    options = "--memory=64M --pids=20 --cpus=0.5 --cpu-weight=300 --cpuset=0".split()
    run.out("true", *options, f"--result-json={result}")
    rows = json.loads(result.read_text())["receipt"]
    found = {row["feature"]: row["enforced"] for row in rows if row["holds"]}
    assert found["limits.memory"] == str(64 * 2**20)
    assert found["limits.pids"] == "20"
    assert found["limits.cpus"] == "0.5"
    assert found["limits.cpu_weight"] == "300"
    assert found["limits.cpuset"] == "0"


@pytest.mark.needs("cgroup:memory")
def test_the_memory_limit_ends_the_program(run: Runner) -> None:
    done = run("exec python3 -c 'bytearray(b\"x\") * (200 << 20)'", "--memory=32M")
    assert done.returncode == 128 + signal.SIGKILL
    assert "memory limit" in done.stderr


def test_the_deadline_ends_every_process(run: Runner) -> None:
    done = run("sleep 60 & sleep 60", "--timeout=0.2")
    assert done.returncode == 124


def test_a_terminal(run: Runner) -> None:
    master, slave = pty.openpty()
    words = ("run", f"--backend={run.backend}", "-t", "--", "sh", "-c", "tty; ps -o tty= -p $$")
    try:
        with run.isolate.popen(*words, stdin=slave, stdout=slave, stderr=slave) as process:
            assert process.wait(15) == 0
        assert b"/dev/pts/0" in os.read(master, 4096)
    finally:
        os.close(master)
        os.close(slave)


def test_the_runtimes_own_words_are_kept(run: Runner, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"hooks": {"create_runtime": [{"path": "/bin/false"}]}}))
    done = run("true", f"--spec={spec}")
    error = next(line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert done.returncode == 125
    assert error.startswith(f"error: {run.backend}: ")
    assert "hook" in error


def test_a_binary_of_ones_own(run: Runner, tmp_path: Path) -> None:
    done = run("true", "--option", f"path={tmp_path}/none")
    assert done.returncode == 125
    assert f"backend_options.{run.backend}.path" in done.stderr
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\ntouch {tmp_path}/used\nexec {run.backend} "$@"\n')
    wrapper.chmod(0o755)
    assert run.out("echo in", "--option", f"path={wrapper}") == "in"
    assert (tmp_path / "used").exists()


def test_explain_tells_commands_and_document(run: Runner) -> None:
    done = run.isolate("run", f"--backend={run.backend}", "--memory=64M", "--dry-run", "--", "true")
    assert done.returncode == 0, done.stderr
    names = {line.split()[1].rstrip(":") for line in done.stdout.splitlines()}
    assert {"runtime.create", "runtime.start", "runtime.delete", "view.stage"} <= names
    assert "67108864" in done.stdout


def test_a_killed_run_is_collected(run: Runner) -> None:
    words = ("run", f"--backend={run.backend}", "--", "sh", "-c", "echo up; exec sleep 60")
    with run.isolate.popen(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
    run.isolate("gc", check=True)
    deadline = time.monotonic() + 5
    while any(run.isolate.state.glob("containers/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(run.isolate.state.glob("containers/*")) == []
