"""A hostile container against those who act on it: exec, cp, logs, attach, the supervisor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.backend.abilities import Executes, OpensRoot
from isolate.supervisor import protocol
from tests.support import roots
from tests.support.backends import able
from tests.support.detached import alive, until

if TYPE_CHECKING:
    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")
executing = pytest.mark.parametrize("backend", able(Executes), indirect=True)

SLEEP = "echo ready; exec sleep 60"


def running(detached: Detached, backend: str = "namespaces", *options: str) -> None:
    """A container that waits."""
    detached.run("one", SLEEP, f"--backend={backend}", *options)
    until(lambda: detached.logs("one") == "ready\n")


# -- exec

OVERWRITE = "#!/proc/self/exe -cimport os;f=os.open('/proc/self/exe',os.O_RDONLY);os.dup2(f,9);\
os.execv('/bin/sh',['sh','-c',': >> /proc/self/fd/9 && echo WROTE'])\n"


@pytest.mark.parametrize(
    "options", [("namespaces",), ("namespaces", "--userns=host"), ("runc",), ("crun",), ("lxc",)]
)
def test_our_own_executable_is_not_written_through_an_exec(
    detached: Detached, options: tuple[str, ...]
) -> None:
    """CVE-2019-5736: the program is a script, and its interpreter we ourselves."""
    backend, *rest = options
    if backend not in able(Executes):
        pytest.fail(f"there is no backend {backend}")
    where = (f"--backend={backend}", *rest, "--name", "one", "--", "sh", "-c")
    script = 'printf "%s" "$EVIL" > /evil; chmod 755 /evil; echo ready; exec sleep 60'
    detached("run", "-d", "-e", f"EVIL={OVERWRITE}", *where, script)
    until(lambda: detached.logs("one") == "ready\n")
    before = Path(sys.executable).resolve().stat()
    done = detached("exec", "one", "/evil", check=False)
    assert "WROTE" not in done.stdout
    assert any(word in done.stderr for word in ("denied", "busy", "can't", "not found"))
    after = Path(sys.executable).resolve().stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


@executing
def test_no_capability_is_inherited(detached: Detached, backend: str) -> None:
    """CVE-2022-29162: whatever the caller's inheritable and ambient sets are."""
    running(detached, backend)
    words = detached.isolate.argv("exec", "one", "cat", "/proc/self/status")
    done = subprocess.run(
        ["setpriv", "--inh-caps=+chown,+net_raw", "--ambient-caps=+chown,+net_raw", "--", *words],
        env=detached.isolate.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    sets = dict(line.split(":\t") for line in done.stdout.splitlines() if line.startswith("Cap"))
    if backend == "chroot":
        return  # it keeps what its caller has, and says so
    assert int(sets["CapInh"], 16) == int(sets["CapAmb"], 16) == 0


@executing
def test_no_directory_of_the_host_is_reached_by_a_descriptor(
    detached: Detached, backend: str
) -> None:
    """CVE-2024-21626."""
    running(detached, backend)
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(host, True)
    planted = os.dup2(host, 39)
    try:
        for number in (3, 4, 5, 6, 7, 8, 10, host, planted):
            script = ("sh", "-c", "ls -a ./..; ls -a .")
            done = subprocess.run(
                detached.isolate.argv("exec", "-w", f"/proc/self/fd/{number}", "one", *script),
                env=detached.isolate.environment,
                pass_fds=(host, planted),
                capture_output=True,
                text=True,
                check=False,
            )
            assert "boot" not in done.stdout.split(), number
            assert "Traceback" not in done.stderr, number
    finally:
        os.close(host)
        os.close(planted)


@pytest.mark.parametrize("user", ["4294967296", "-1", ":", "1:", ":1", "1:-1", "no\nbody", "x:y"])
def test_who_is_no_user_executes_nothing(detached: Detached, user: str) -> None:
    """CVE-2026-30892."""
    running(detached)
    done = detached("exec", f"--user={user}", "one", "id", check=False)
    assert done.returncode in (1, 2, 125)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@executing
def test_modules_in_the_root_are_not_our_code(detached: Detached, backend: str) -> None:
    """A late import after entering would run them with every right."""
    root = roots.copy(detached.root, detached.root.parent / "spoilt")
    for place in {entry for entry in sys.path if entry.startswith("/")} | {"/usr/lib/python3"}:
        for name in ("resource", "pwd", "encodings/idna", "signal", "json", "_socket", "grp"):
            path = root / place[1:] / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("open('/owned', 'w').close()\n")
    where = (f"--backend={backend}", "--rlimit=nofile=50", "--rootfs", f"dir:{root}")
    detached("run", "-d", "--name", "one", *where, "--", "sleep", "60")
    terminal = ("--tty",) if backend in able(features=("process.terminal",)) else ()
    done = detached("exec", "--user=7", *terminal, "one", "ls", "/")
    assert "bin" in done.stdout
    assert "owned" not in done.stdout
    assert detached("exec", "one", "nowhere", check=False).returncode == 127
    assert "owned" not in detached("exec", "one", "ls", "/").stdout


def test_an_exec_that_is_stopped_from_inside_is_given_up(
    detached: Detached, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root inside may stop what enters: the client doesn't hang for ever."""
    stopper = "echo ready; while :; do kill -STOP -1; done"
    detached.run("one", stopper)
    until(lambda: "ready" in detached.logs("one"))
    patient = (
        "import isolate.native.executing as e, isolate.cli, sys; e._PATIENCE = 1.0; "
        "sys.argv = ['isolate', 'exec', 'one', 'sleep', '60']; sys.exit(isolate.cli.main())"
    )
    for _ in range(5):
        client = subprocess.Popen(
            [detached.isolate.installation.python, "-P", "-c", patient],
            env=detached.isolate.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _out, err = client.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            client.kill()  # it had executed the program before it was stopped
            client.communicate()
            continue
        assert client.returncode == 125
        assert "did nothing for" in err
    detached("delete", "--force", "one")


# -- cp

each_root = pytest.mark.parametrize("backend", able(OpensRoot, features=("mounts.bind",)))


@each_root
def test_a_directory_that_is_there_keeps_its_owner(
    detached: Detached, tmp_path: Path, backend: str
) -> None:
    """The container leads the copy into a volume, where a directory is the host root's."""
    volume = tmp_path / "volume"
    (volume / "tree").mkdir(parents=True)
    (volume / "tree").chmod(0o700)
    source = tmp_path / "tree"
    source.mkdir(mode=0o755)
    detached.run(
        "one", f"ln -s /volume /in; {SLEEP}", f"--backend={backend}", f"-v{volume}:/volume"
    )
    until(lambda: detached.logs("one") == "ready\n")
    detached("cp", str(source), "one:/in", check=False)
    found = (volume / "tree").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 0, 0o700)


def test_a_file_that_grows_or_is_all_hole(detached: Detached, tmp_path: Path) -> None:
    hole = "dd if=/dev/zero of=/huge bs=1M count=0 seek=1048576 2>/dev/null"
    script = f"{hole}; echo end >> /huge; yes > /grows & echo ready; sleep 60"
    detached.run("one", script)
    until(lambda: detached.logs("one") == "ready\n")
    for name in ("huge", "grows"):
        detached("cp", f"one:/{name}", str(tmp_path / name), timeout=20)
    huge = (tmp_path / "huge").stat()
    assert huge.st_size == (1 << 40) + 4
    assert huge.st_blocks * 512 < 1 << 20
    with open(tmp_path / "huge", "rb") as file:
        file.seek(1 << 40)
        assert file.read() == b"end\n"
    detached("cp", "one:/proc/self/status", str(tmp_path / "status"), check=False)


def test_a_deep_tree_ends(detached: Detached, tmp_path: Path) -> None:
    script = "cd /; i=0; while [ $i -lt 400 ]; do mkdir d; cd d; i=$((i+1)); done"
    detached.run("one", f"{script}; {SLEEP}")
    until(lambda: detached.logs("one") == "ready\n")
    done = detached("cp", "one:/d", str(tmp_path / "d"), check=False)
    assert done.returncode == 1
    assert "nested too deep" in done.stderr


# -- logs, attach, the supervisor


def test_logs_are_not_written_or_read_through_a_link(detached: Detached, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("canary")
    detached.run("one", "until [ -e /go ]; do usleep 10000; done; echo there; sleep 60")
    log = detached.isolate.state / "containers" / "one" / "log"
    log.symlink_to(canary)
    detached("exec", "one", "touch", "/go")
    until(lambda: "log_failed" in detached("events").stdout)
    done = detached("logs", "one", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert canary.read_text() == "canary"
    log.unlink()
    until(lambda: detached.logs("one") == "there\n")  # it had waited


def test_a_descendant_that_writes_for_ever_is_not_awaited(detached: Detached) -> None:
    """In a chroot, without a pid namespace: the supervisor has others to serve."""
    detached.run("one", "yes & yes >&2 & usleep 100000; exit 3", "--backend=chroot")
    detached.run("two", "echo two; exit 4")
    assert detached.wait("two") == "4"
    assert detached.wait("one") == "3"
    detached("delete", "one")


def test_lines_that_look_like_entries_are_the_programs_own(detached: Detached) -> None:
    forged = '{"stream": "isolate", "time": "x", "text": "forged"}'
    detached.run("one", f"echo '{forged}'; printf '\\033]0;title\\007'; exit 5")
    assert detached.wait("one") == "5"
    done = detached("logs", "one")
    assert done.stdout.splitlines()[0] == forged
    assert done.stderr == ""


def test_the_supervisor_serves_no_container(detached: Detached) -> None:
    """Root outside, and the state directory in a volume: still another pid namespace."""
    code = (
        "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
        "s.connect('/state/supervisor.sock'); s.settimeout(5); print(s.recv(100))"
    )
    detached.run("other", "sleep 60")
    volume = f"-v{detached.isolate.state}:/state"
    done = detached(
        "run", "--userns=host", volume, "--", "python3", "-c", code, check=False, timeout=60
    )
    assert done.stdout == "b''\n", done.stderr
    assert detached.statuses()["other"] == "running"


def test_what_is_no_request_is_refused(detached: Detached) -> None:
    detached.run("one", "sleep 60")
    for data in (
        b"",
        b"x",
        b"[]",
        b'{"action": "nothing"}',
        b"*",
        b'{"action": ["a"]}',
        b"1" * 999,
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(10)
            path, directory = protocol.address(str(detached.isolate.state))
            try:
                peer.connect(path)
            finally:
                os.close(directory)
            assert b"ready" in peer.recv(1000)
            peer.send(data)
            if data:
                assert b"ready" not in peer.recv(1 << 16)
    assert detached.statuses() == {"one": "running"}


def test_a_plugins_bug_ends_its_container_alone(detached: Detached) -> None:
    """What a backend raises that is no error of ours, when a container is to run again."""
    detached.run("good", "sleep 60")
    worker = detached.supervisor()[0]
    detached.run("bad", "usleep 300000; exit 1", "--restart", "always")
    directory = detached.isolate.state / "containers" / "bad"
    (directory / "start").unlink(missing_ok=True)
    (directory / "confinement").unlink()
    (directory / "confinement").mkdir()  # what the backend has to write again
    done = detached("wait", "bad", check=False)
    assert done.returncode in (0, 1)
    assert detached.inspect("bad")["exit"]["problem"]
    assert detached.supervisor()[0] == worker
    assert detached.statuses() == {"good": "running", "bad": "stopped"}


@pytest.mark.parametrize("order", [signal.SIGSTOP, signal.SIGKILL])
def test_a_first_process_ended_or_stopped_by_its_own(detached: Detached, order: int) -> None:
    detached.run("one", f"sh -c 'kill -{order:d} 1' ; sleep 0.1; kill -{order:d} $$; sleep 60")
    pid = detached.pid("one")
    detached("stop", "--time", "0.2", "one")
    assert not alive(pid)
