"""Standard streams of `isolate run`: byte-exact, unbuffered, with backpressure, constant memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

GIGABYTE = 10**9
BINARY = bytes(range(256)) * 257 + b"\r\n\0\xff"

# As the caller's own descriptors, and relayed to be counted.
WAYS: list[list[str]] = [[], ["--max-output=2G"]]


def resident(pid: int) -> int:
    """Bytes of memory of a process now."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize("way", WAYS, ids=["given", "relayed"])
def test_a_gigabyte_through_a_slow_reader(
    isolate_cmd: Isolate, busybox: Path, way: list[str]
) -> None:
    """The reader pauses now and again; nothing piles up and nothing is lost."""
    args = [f"--rootfs={busybox}", *way, "--", "head", "-c", str(GIGABYTE)]
    most, count = 0, 0
    with isolate_cmd.popen("run", *args, "/dev/zero", stdin=None) as running:
        assert running.stdout is not None
        pause = GIGABYTE // 8
        while data := os.read(running.stdout.fileno(), 2**20):
            assert data.count(0) == len(data)
            count += len(data)
            if count > pause:
                pause += GIGABYTE // 8
                time.sleep(0.02)
                with contextlib.suppress(FileNotFoundError, IndexError):
                    most = max(most, resident(running.pid))
    assert running.returncode == 0
    assert count == GIGABYTE
    assert 0 < most < 48 * 2**20


@pytest.mark.parametrize("way", WAYS, ids=["given", "relayed"])
def test_binary_in_and_out(isolate_cmd: Isolate, busybox: Path, way: list[str]) -> None:
    with isolate_cmd.popen("run", f"--rootfs={busybox}", *way, "--", "cat") as running:
        out, err = running.communicate(BINARY * 40)
    assert (running.returncode, err) == (0, b"")
    assert hashlib.sha256(out).digest() == hashlib.sha256(BINARY * 40).digest()


@pytest.mark.parametrize("way", WAYS, ids=["given", "relayed"])
def test_stderr_apart_from_stdout(isolate_cmd: Isolate, busybox: Path, way: list[str]) -> None:
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done"
    done = isolate_cmd("run", f"--rootfs={busybox}", *way, "--", "sh", "-c", script)
    assert done.stdout == "out1\nout2\nout3\n"
    assert done.stderr == "err1\nerr2\nerr3\n"


@pytest.mark.parametrize("way", WAYS, ids=["given", "relayed"])
def test_unbuffered(isolate_cmd: Isolate, busybox: Path, way: list[str]) -> None:
    """Each byte is there before the program goes on."""
    script = "while read line; do printf %s. $line; done"
    args = ("run", f"--rootfs={busybox}", *way, "--", "sh", "-c", script)
    with isolate_cmd.popen(*args) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for word in (b"one", b"two"):
            running.stdin.write(word + b"\n")
            running.stdin.flush()
            assert select.select([running.stdout], [], [], 20)[0]
            assert os.read(running.stdout.fileno(), 100) == word + b"."
        running.stdin.close()
    assert running.returncode == 0


@pytest.mark.parametrize("way", WAYS, ids=["given", "relayed"])
@pytest.mark.parametrize("init", [[], ["--init"]], ids=["pid 1", "init"])
def test_a_closed_reader_ends_the_program(
    isolate_cmd: Isolate, busybox: Path, way: list[str], init: list[str]
) -> None:
    """SIGPIPE, as without isolate."""
    args = ("run", f"--rootfs={busybox}", *way, *init, "--", "yes")
    with isolate_cmd.popen(*args) as running:
        assert running.stdout is not None
        os.read(running.stdout.fileno(), 10)
        running.stdout.close()
        running.wait(20)
    assert running.returncode in (128 + 13, 1)  # busybox's yes looks at the error itself


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed_from_the_start(
    isolate_cmd: Isolate, busybox: Path, descriptors: tuple[int, ...]
) -> None:
    """The container's own descriptors don't take the place of a closed stream."""
    words = isolate_cmd.argv("run", f"--rootfs={busybox}", "--", "sh", "-c", "exit 9")
    closing = " ".join(f"{number}>&-" for number in descriptors)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closing}', "sh", *words],
        env=isolate_cmd.environment,
        cwd=isolate_cmd.state.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr


def test_full_disk_below_the_output(isolate_cmd: Isolate, busybox: Path) -> None:
    with open("/dev/full", "wb") as full:
        args = ("run", f"--rootfs={busybox}", "--max-output=1M", "--", "echo", "x")
        with isolate_cmd.popen(*args, stdout=full.fileno()) as running:
            assert running.wait(20) in (0, 141)


def test_a_descendant_that_keeps_the_streams_does_not_hold_us(
    isolate_cmd: Isolate, busybox: Path
) -> None:
    """The end of the first process is the end of all, and of its output."""
    for options in ([], ["--init"], ["--max-output=1M"], ["-b", "chroot"]):
        done = isolate_cmd(
            *("run", f"--rootfs={busybox}", *options),
            *("--", "sh", "-c", "(setsid sleep 1000 &) ; echo end"),
            timeout=20,
        )
        assert (done.returncode, done.stdout) == (0, "end\n")


def test_output_flood_that_nobody_reads_ends_at_the_deadline(
    isolate_cmd: Isolate, busybox: Path
) -> None:
    args = ("run", f"--rootfs={busybox}", "--timeout=0.3", "--max-output=1G", "--", "yes")
    with isolate_cmd.popen(*args) as running:
        assert running.wait(20) == 124
