"""`isolate run`: exit statuses, errors in two lines, refusal, the result."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

BACKENDS = ["namespaces", "chroot"]
RESULT_KEYS = set(
    "id backend exit_code signal oom_killed timed_out output_exceeded wall_seconds "
    "cpu_user_seconds cpu_system_seconds memory_peak_bytes pids_peak io_read_bytes "
    "io_write_bytes waived receipt".split()
)


def result_of(isolate: Isolate, *args: str, status: int = 0) -> dict[str, Any]:
    """The result of a run whose exit status is known."""
    path = isolate.state.parent / "result.json"
    done = isolate("run", "--result-json", str(path), *args)
    assert done.returncode == status, done.stderr
    result: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return result


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("ulimit -c 0; kill -SEGV $$", 139),
        ("exec /bin/absent", 127),
    ],
)
def test_the_programs_own_end(
    isolate_cmd: Isolate, busybox: Path, backend: str, script: str, status: int
) -> None:
    if backend == "namespaces" and "kill" in script:
        script = f"sh -c '{script}'; exit $?"  # the kernel shields a pid 1 from its own signals
    done = isolate_cmd("run", "-b", backend, f"--rootfs={busybox}", "--", "sh", "-c", script)
    assert done.returncode == status


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("absent", 127),
        ("/absent", 127),
        ("", 127),
        ("/etc", 126),
        ("/plain", 126),
        ("/script", 127),
    ],
)
def test_what_cannot_be_executed(
    isolate_cmd: Isolate, tmp_path: Path, backend: str, program: str, status: int
) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "plain").write_text("no execute permission")
    (root / "script").write_text("#!/absent\n")
    (root / "script").chmod(0o755)
    done = isolate_cmd("run", "-b", backend, f"--rootfs=dir:{root}", "--", program)
    assert done.returncode == status
    assert two_lines(done.stderr)


@pytest.mark.parametrize("init", [[], ["--init"]])
def test_with_and_without_init(isolate_cmd: Isolate, busybox: Path, init: list[str]) -> None:
    run = ["run", f"--rootfs={busybox}", *init, "--"]
    assert isolate_cmd(*run, "sh", "-c", "exit 7").returncode == 7
    assert isolate_cmd(*run, "absent").returncode == 127
    assert isolate_cmd(*run, "/etc").returncode == 126


def test_killed_below_an_init(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(
        isolate_cmd, f"--rootfs={busybox}", "--init", "--", "sh", "-c", "kill -9 $$", status=137
    )
    assert (result["exit_code"], result["signal"]) == (None, 9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_deadline_kills_the_whole_tree(
    isolate_cmd: Isolate, busybox: Path, backend: str
) -> None:
    script = "trap '' TERM INT HUP; setsid sleep 1000 & sleep 1000 & wait"
    result = result_of(
        isolate_cmd,
        *("-b", backend, f"--rootfs={busybox}", "--timeout=0.2", "--", "sh", "-c", script),
        status=124,
    )
    assert result["timed_out"] is True


def two_lines(text: str) -> bool:
    lines = text.splitlines()
    return (
        len(lines) == 2
        and lines[0].startswith("error: ")
        and lines[1].startswith("hint: ")
        and all(len(line) > 10 for line in lines)
    )


MISTAKES = [
    [],
    ["--"],
    ["--bogus", "--", "true"],
    ["--memory"],
    ["--memory=x", "--", "true"],
    ["--memory=1", "--", "true"],
    ["--memory=-5", "--", "true"],
    ["--memory=99999999999999999999999", "--", "true"],
    ["--memory-swap=0", "--", "true"],
    ["--cpus=nan", "--", "true"],
    ["--cpus=inf", "--", "true"],
    ["--cpus=0", "--", "true"],
    ["--cpus=x", "--", "true"],
    ["--cpu-weight=0", "--", "true"],
    ["--cpuset=99", "--", "true"],
    ["--cpuset=1-0", "--", "true"],
    ["--pids=0", "--", "true"],
    ["--pids=1e3", "--", "true"],
    ["--timeout=0", "--", "true"],
    ["--timeout=nan", "--", "true"],
    ["--max-output=-1", "--", "true"],
    ["--io-max=8:0", "--", "true"],
    ["--io-max=99:99:rbps=1M", "--", "true"],
    ["--io-max=/dev/absent:rbps=1M", "--", "true"],
    ["--io-max=8:0:bogus=1", "--", "true"],
    ["--backend=absent", "--", "true"],
    ["--rootfs=what", "--", "true"],
    ["--rootfs=dir:/absent", "--", "true"],
    ["--rootfs=tar:/absent", "--", "true"],
    ["--rootfs=", "--", "true"],
    ["--name=../x", "--", "true"],
    ["--name=", "--", "true"],
    ["--hostname=a b", "--", "true"],
    ["--env==x", "--", "true"],
    ["--env-file=/absent", "--", "true"],
    ["--workdir=relative", "--", "true"],
    ["--workdir=/absent", "--", "true"],
    ["--workdir=/bin/../etc", "--", "true"],
    ["--user=:", "--", "true"],
    ["--user=-1", "--", "true"],
    ["--user=absent", "--", "true"],
    ["--user=0:absent", "--", "true"],
    ["--user=4294967295", "--", "true"],
    ["--user=4294967296", "--", "true"],
    ["--user=4294967297", "--", "true"],
    ["--user=1000000", "--", "true"],
    ["--mount=bogus", "--", "true"],
    ["--mount=type=bind,target=/x", "--", "true"],
    ["--mount=type=tmpfs,target=/x,bogus=1", "--", "true"],
    ["--mount=type=tmpfs,target=/x,mode=9", "--", "true"],
    ["--volume=/etc", "--", "true"],
    ["--volume=/absent:/x", "--", "true"],
    ["--volume=/etc:relative", "--", "true"],
    ["--volume=/etc:/x:bogus", "--", "true"],
    ["--volume=/etc:/", "--", "true"],
    ["--volume=/etc:/../x", "--", "true"],
    ["--volume=/etc:/proc", "--", "true"],
    ["--volume=/etc:/proc/self/attr", "--", "true"],
    ["--tmpfs=relative", "--", "true"],
    ["--tmpfs=/x:size=bogus", "--", "true"],
    ["--network=bogus", "--", "true"],
    ["--rlimit=nofile", "--", "true"],
    ["--rlimit=bogus=1", "--", "true"],
    ["--rlimit=nofile=2:1", "--", "true"],
    ["--cap-add=BOGUS", "--", "true"],
    ["--cap-drop=BOGUS", "--", "true"],
    ["--seccomp=/absent", "--", "true"],
    ["--seccomp=/etc/passwd", "--", "true"],
    ["--seccomp=/dev/zero", "--", "true"],
    ["--device=/dev/absent", "--", "true"],
    ["--device=/etc/passwd", "--", "true"],
    ["--device=/dev/null:/x:bogus", "--", "true"],
    ["--userns=bogus", "--", "true"],
    ["--mask=relative", "--", "true"],
    ["--require=bogus", "--", "true"],
    ["--require=kernel=separate", "--", "true"],
    ["--backend=namespaces", "--require=kernel=separate", "--", "true"],
    ["--allow-degraded=bogus", "--", "true"],
    ["--option=bogus", "--", "true"],
    ["--spec=/absent", "--", "true"],
    ["--spec=/etc/passwd", "--", "true"],
    ["--root=/proc/absent", "--", "true"],
    ["--root=", "--", "true"],
    ["--privileged", "--cap-drop=ALL", "--", "true"],
    ["--privileged", "--userns=private", "--", "true"],
    ["--backend=chroot", "--memory=64M", "--", "true"],
    ["--backend=chroot", "--tty", "--", "true"],
    ["--backend=chroot", "--volume=/etc:/x", "--", "true"],
]


@pytest.mark.parametrize("args", MISTAKES, ids=" ".join)
def test_a_mistake_gets_an_error_and_a_hint(
    isolate_cmd: Isolate, busybox: Path, args: list[str]
) -> None:
    rootfs = [] if any(word.startswith("--rootfs") for word in args) else [f"--rootfs={busybox}"]
    done = isolate_cmd("run", *rootfs, *args)
    assert done.returncode == 125
    assert done.stdout == ""
    assert two_lines(done.stderr), done.stderr


def test_refused_before_anything_is_made(isolate_cmd: Isolate, busybox: Path) -> None:
    done = isolate_cmd("run", "-b", "chroot", "-m", "64M", f"--rootfs={busybox}", "--", "true")
    assert done.returncode == 125
    assert "limits.memory" in done.stderr
    assert "namespaces" in done.stderr
    assert "--allow-degraded limits.memory" in done.stderr
    assert list(isolate_cmd.state.iterdir()) == []


def test_what_was_waived_stands_in_the_result(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(
        isolate_cmd,
        *("-b", "chroot", "-m", "64M", "--allow-degraded", "limits.memory"),
        *(f"--rootfs={busybox}", "--", "true"),
    )
    assert result["waived"] == ["limits.memory"]
    assert "limits.memory" not in [row["feature"] for row in result["receipt"]]


def test_nothing_was_waived_that_the_backend_can(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(
        isolate_cmd,
        *("-m", "64M", "--allow-degraded", "limits.memory", f"--rootfs={busybox}", "--", "true"),
    )
    assert result["waived"] == []
    row = next(row for row in result["receipt"] if row["feature"] == "limits.memory")
    assert row["enforced"] == str(64 * 2**20)


def test_the_result_has_every_key(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(isolate_cmd, f"--rootfs={busybox}", "--", "sh", "-c", "exit 3", status=3)
    assert result.keys() == RESULT_KEYS
    assert (result["exit_code"], result["signal"], result["timed_out"]) == (3, None, False)
    assert result["backend"] == "namespaces"
    assert result["oom_killed"] is False
    assert 0 < result["wall_seconds"] < 30
    assert result["cpu_user_seconds"] + result["cpu_system_seconds"] > 0
    assert result["receipt"]
    assert all(row["holds"] for row in result["receipt"])
    assert {key for row in result["receipt"] for key in row} == {
        *("feature", "asked", "enforced", "source", "holds")
    }


def test_unmeasured_is_null(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(isolate_cmd, "-b", "chroot", f"--rootfs={busybox}", "--", "true")
    assert result["memory_peak_bytes"] is None
    assert result["oom_killed"] is None
    assert result["io_read_bytes"] is None


@pytest.mark.needs("cgroup:memory")
@pytest.mark.parametrize("init", [[], ["--init"]])
def test_oom_is_told_as_such(isolate_cmd: Isolate, init: list[str]) -> None:
    path = isolate_cmd.state.parent / "result.json"
    done = isolate_cmd(
        *("run", "--memory=64M", "--pids=32", f"--result-json={path}", *init, "--"),
        *("python3", "-c", "bytearray(10**9)"),
    )
    assert done.returncode == 137
    assert two_lines(done.stderr)
    assert "OOM" in done.stderr
    result = json.loads(path.read_text())
    assert result["oom_killed"] is True
    assert result["signal"] == 9
    assert 16 * 2**20 < result["memory_peak_bytes"] <= 64 * 2**20


@pytest.mark.needs("cgroup:memory")
def test_oom_in_a_child_is_told_too(isolate_cmd: Isolate) -> None:
    """The program survives its child, and the result still tells."""
    result = result_of(
        isolate_cmd, "--memory=64M", "--", "sh", "-c", "python3 -c 'bytearray(10**9)'; exit 5",
        status=5,
    )  # fmt: skip
    assert result["oom_killed"] is True


@pytest.mark.parametrize("backend", BACKENDS)
def test_dry_run_and_explain_make_nothing(
    isolate_cmd: Isolate, busybox: Path, backend: str
) -> None:
    words = ["-b", backend, f"--rootfs={busybox}", "--user=7", "--", "touch", "/tmp/x"]
    dry = isolate_cmd("run", "--dry-run", *words, check=True)
    explained = isolate_cmd("explain", *words, check=True)
    assert dry.stdout == explained.stdout
    assert "execute touch /tmp/x" in dry.stdout
    plan = json.loads(isolate_cmd("explain", "--json", *words, check=True).stdout)
    assert [step["name"] for step in plan["steps"]]
    assert plan["unsupported"] == []
    assert list(isolate_cmd.state.iterdir()) == []


def test_explain_says_what_is_unsupported(isolate_cmd: Isolate, busybox: Path) -> None:
    words = ["-b", "chroot", "-m", "64M", f"--rootfs={busybox}", "--", "true"]
    plan = json.loads(isolate_cmd("explain", "--json", *words, check=True).stdout)
    assert plan["unsupported"] == ["limits.memory"]


@pytest.mark.parametrize("where", ["absent/r", ".", "file/r", "loop", ""])
def test_a_result_that_cannot_be_written(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path, where: str
) -> None:
    """It is noticed before anything runs."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    option = where and f"{tmp_path}/{where}"
    done = isolate_cmd(
        "run", f"--result-json={option}", f"--rootfs={busybox}", "--", "echo", "it ran"
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert two_lines(done.stderr)
    assert sorted(tmp_path.iterdir()) == before


def test_a_result_replaces_a_file_and_nothing_else(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path
) -> None:
    """Behind a link, too; what is no file is written to, and stays what it is."""
    target, link, fifo = tmp_path / "target", tmp_path / "link", tmp_path / "fifo"
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    for path in (link, fifo, Path("/dev/null")):
        words = [f"--result-json={path}", f"--rootfs={busybox}", "--", "sh", "-c", "exit 3"]
        assert isolate_cmd("run", *words).returncode == 3
    assert link.is_symlink()
    assert json.loads(target.read_text())["exit_code"] == 3
    assert json.loads(os.read(reader, 1 << 16))["exit_code"] == 3
    os.close(reader)
    assert Path("/dev/null").is_char_device()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_result_of_a_detached_run_is_refused(isolate_cmd: Isolate, tmp_path: Path) -> None:
    done = isolate_cmd("run", "--detach", f"--result-json={tmp_path}/r", "--", "true")
    assert done.returncode == 125
    assert two_lines(done.stderr)


def test_control_characters_do_not_reach_the_terminal(isolate_cmd: Isolate) -> None:
    done = isolate_cmd("run", "--rootfs=dir:/\x1b[31mred\n\nerror: x", "--", "true")
    assert done.returncode == 125
    assert "\x1b" not in done.stderr
    assert two_lines(done.stderr)
