"""The bubblewrap backend end to end: what bwrap makes of a hostile root, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.linux import process

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.support.command import Isolate
    from tests.support.detached import Detached

pytestmark = [pytest.mark.needs("root", "bwrap")]
BACKEND = "--backend=bubblewrap"


class Runner:
    """`isolate run --backend=bubblewrap`; what follows the options is a shell script."""

    def __init__(self, isolate: Isolate) -> None:
        self.isolate = isolate

    def __call__(self, script: str, *options: str) -> CompletedProcess[str]:
        return self.isolate("run", BACKEND, *options, "--", "sh", "-c", script)

    def out(self, script: str, *options: str) -> str:
        done = self(script, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def run(isolate_cmd: Isolate) -> Runner:
    return Runner(isolate_cmd)


def test_streams_and_exit_code(run: Runner) -> None:
    done = run("echo out; echo err >&2; exit 137")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 137)


def test_a_signal_is_told_from_its_exit_code(run: Runner) -> None:
    """bwrap's own process would tell 128 + N for both."""
    result = run.isolate.state.parent / "result.json"
    words = (
        "run",
        BACKEND,
        "--result-json",
        str(result),
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 9",
    )
    with run.isolate.popen(*words) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 128 + signal.SIGTERM
    told = json.loads(result.read_text())
    assert (told["exit_code"], told["signal"]) == (None, signal.SIGTERM)


def test_the_receipt_tells_of_the_filter_too(run: Runner) -> None:
    result = run.isolate.state.parent / "result.json"
    run.out("true", "--result-json", str(result))
    rows = {row["feature"]: row for row in json.loads(result.read_text())["receipt"]}
    assert rows["privileges.seccomp"]["enforced"].startswith("mode 2")
    assert rows["view.users"]["enforced"] != "0 inside is 0 outside"
    assert all(row["holds"] for row in rows.values())


def test_nothing_of_the_kernels_can_be_written(run: Runner) -> None:
    """What bwrap 0.8 leaves open to a root that is root outside; here it isn't, and by options of
    ours those files are read-only besides."""
    script = """
        for path in kernel/core_pattern kernel/modprobe vm/drop_caches net/ipv4/ip_forward \
            kernel/hostname fs/binfmt_misc/register; do
            (echo 1 >/proc/sys/$path) 2>/dev/null && echo "$path"
        done
        (echo c >/proc/sysrq-trigger) 2>/dev/null && echo sysrq
        mount -t proc none /mnt 2>/dev/null && echo proc
        mount -o remount,rw /proc/sys 2>/dev/null && echo remount
        ls -A /sys
    """
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    assert run(script).stdout == ""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_there_is_no_capability(run: Runner) -> None:
    lines = run.out("cat /proc/self/status").splitlines()
    found = {line.split(":")[0]: line.split()[-1] for line in lines if line.startswith("Cap")}
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_an_exec_is_no_freer(detached: Detached) -> None:
    detached.run("held", "sleep 60", BACKEND)
    fields = "grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status"
    own = detached("exec", "held", "--", "sh", "-c", fields.replace("self", "1"))
    further = detached("exec", "held", "--", "sh", "-c", fields)
    assert further.stdout == own.stdout


@pytest.mark.parametrize("link", ["/etc", "../../../../../../etc", "/oldroot/etc", "/proc/1/root"])
def test_a_mount_point_behind_a_link_of_the_root(run: Runner, tmp_path: Path, link: str) -> None:
    """It is followed inside the root, where there is something, and never against the host."""
    root, shared = _root(tmp_path), tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("mine")
    (root / "way").symlink_to(link)
    tmp_path.chmod(0o755)
    before = os.listdir("/etc")
    done = run("cat /way/sub/file", f"--rootfs={root}", f"--volume={shared}:/way/sub:ro")
    if link.startswith("/proc"):  # on the container's own proc, where nothing may be mounted
        assert done.returncode != 0
    else:
        assert done.stdout == "mine", done.stderr
    assert os.listdir("/etc") == before


def test_a_mask_is_found_behind_a_link_of_the_root(run: Runner, tmp_path: Path) -> None:
    root = _root(tmp_path)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "secret").write_text("secret")
    (root / "alias").symlink_to("/etc/secret")
    spec = {"privileges": {"masked_paths": ["/alias"]}, "process": {"args": ["cat", "/etc/secret"]}}
    words = ("run", BACKEND, f"--rootfs={root}", "--spec=-")
    assert run.isolate(*words, text=json.dumps(spec), check=True).stdout == ""


def test_a_mask_in_a_volume(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to("deep")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "secret").write_text("secret")
    (tmp_path / "deep" / "plain").write_text("plain")
    tmp_path.chmod(0o755)
    spec = {
        "mounts": [{"source": str(tmp_path), "target": "/v"}],
        "privileges": {"masked_paths": ["/v/way/secret"]},
        "process": {"args": ["cat", "/v/deep/plain", "/v/deep/secret"]},
    }
    assert run.isolate("run", BACKEND, "--spec=-", text=json.dumps(spec), check=True).stdout == (
        "plain"
    )


@pytest.mark.parametrize("link", ["/etc/passwd", "/other/secret", "../other/secret"])
def test_a_mask_behind_a_link_out_of_a_volume_is_refused(
    run: Runner, tmp_path: Path, link: str
) -> None:
    """bwrap would hide what the link means to it while it works, and that is not this."""
    for name in ("volume", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text("secret")
    (tmp_path / "volume" / "way").symlink_to(link)
    tmp_path.chmod(0o755)
    spec = {
        "mounts": [
            {"source": f"{tmp_path}/{name}", "target": target}
            for name, target in (("volume", "/v"), ("other", "/other"))
        ],
        "privileges": {"masked_paths": ["/v/way"]},
        "process": {"args": ["cat", "/v/way"]},
    }
    done = run.isolate("run", BACKEND, "--spec=-", text=json.dumps(spec))
    assert (done.stdout, done.returncode) == ("", 125)
    assert "bwrap.arrival failed: it isn't hidden" in done.stderr.splitlines()[-2]


def test_a_mount_point_behind_a_link_of_a_volume_is_refused(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to("/newroot/etc")  # where it would be, while bwrap works
    tmp_path.chmod(0o755)
    done = run("cat /etc/hostname", f"--volume={tmp_path}:/v", "--volume=/etc:/v/way:ro")
    assert done.returncode == 125
    assert "bwrap.arrival failed: it isn't mounted there" in done.stderr


def test_sockets_of_the_host_are_hidden_in_its_tree(run: Runner) -> None:
    import socket
    import tempfile

    with (
        tempfile.TemporaryDirectory(prefix="isolate-test-", dir="/opt") as directory,
        socket.socket(socket.AF_UNIX) as server,
    ):
        Path(directory).chmod(0o755)
        server.bind(f"{directory}/socket")
        Path(f"{directory}/socket").chmod(0o666)
        server.listen()
        assert run.out(f"ls -l {directory}/socket; id -u", "--rootfs=host").startswith("c")


def test_bwraps_own_words_are_kept(run: Runner) -> None:
    done = run("true", "--volume=/etc/hostname:/a:ro", "--tmpfs=/a/b")
    assert done.returncode == 125
    error, hint = done.stderr.splitlines()[-2:]
    assert error == "error: bwrap: Can't mkdir parents for /a/b: Not a directory"
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"privileges": {"no_new_privileges": False}}, "always sets no_new_privs"),
        ({"mounts": [{"source": "/etc", "target": "/x", "suid": True}]}, "set-uid"),
        ({"mounts": [{"type": "tmpfs", "target": "/x", "exec": False}]}, "always exec"),
        ({"mounts": [{"source": "/etc", "target": "/proc/x"}]}, "on /proc"),
        ({"privileges": {"users": "host"}}, "users.host"),
    ],
)
def test_what_bwrap_cannot_is_refused(run: Runner, document: dict[str, object], words: str) -> None:
    text = json.dumps({**document, "process": {"args": ["true"]}})
    done = run.isolate("run", BACKEND, "--spec=-", text=text)
    assert done.returncode == 125
    assert words in done.stderr.splitlines()[0]


def test_a_killed_launcher_takes_the_program_with_it(run: Runner) -> None:
    with run.isolate.popen("run", BACKEND, "--", "sh", "-c", "echo up; exec sleep 77") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        (pid,) = process.children(running.pid)
        identity = process.identify(pid)
        running.kill()
        running.wait()
    deadline = time.monotonic() + 10
    while process.alive(identity.pid, identity.start_time) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.alive(identity.pid, identity.start_time)
    run.isolate("gc", check=True)


def test_the_program_is_all_that_is_left(detached: Detached) -> None:
    """No bwrap stays beside a container, and the exit status is kept without it."""
    detached.run("ends", "read end </fifo; exit 9", BACKEND, f"--volume={_fifo(detached)}:/fifo")
    processes = json.loads(detached("top", "--no-stream", "--json", "ends").stdout)["processes"]
    assert [row["pid"] for row in processes] == [detached.pid("ends")]
    _fifo(detached).write_text("end\n")
    assert detached.wait("ends") == "9"


def test_all_is_as_before_when_the_supervisor_is_killed(detached: Detached) -> None:
    detached.run("lasts", "read end </fifo; exit 9", BACKEND, f"--volume={_fifo(detached)}:/fifo")
    detached.kill(*detached.supervisor())
    assert detached.statuses() == {"lasts": "running"}
    _fifo(detached).write_text("end\n")
    assert detached.wait("lasts") == "9"


def _fifo(detached: Detached) -> Path:
    path = detached.root.parent / "fifo"
    if not path.exists():
        os.mkfifo(path)
        path.chmod(0o666)
    return path


def _root(directory: Path) -> Path:
    """A root of busybox alone that the test may spoil."""
    from tests.support.roots import busybox

    return busybox(directory / "root")
