"""The contracts of the process: its user, terminal, init, limits."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from isolate.linux import terminal
from isolate.testing.features.base import FeatureContract
from isolate.testing.hold import breach, hold, same
from isolate.testing.lab import PATIENCE

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab, Live

_TERMINAL = """
import signal
def say(*_):
    size = os.get_terminal_size(0)
    print("<", size.columns, size.lines, ">", flush=True)
def stop(*_):
    print("<interrupted>", flush=True)
    sys.exit(7)
signal.signal(signal.SIGWINCH, say)
signal.signal(signal.SIGINT, stop)
leads = os.tcgetpgrp(0) == os.getpgrp() and os.getsid(0) == os.getsid(os.getpid())
print("<", [os.isatty(n) for n in range(3)], leads, ">", flush=True)
say()
while True:
    time.sleep(1)
"""

_ORPHANS = """
if os.fork() == 0:
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(0.1)
            os._exit(0)
    os._exit(0)
os.wait()
def zombies():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = (read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
        found += [pid] if fields[:1] == ["Z"] and os.getsid(0) else []
    return found
for _ in range(50):
    time.sleep(0.05)
    left = zombies()
    if not left:
        break
emit([os.getpid(), left])
sys.exit(7)
"""


class User(FeatureContract):
    """A chosen user and group."""

    feature = "process.user"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"user": "1000:1001"}}

    def prove(self, lab: Lab) -> None:
        found = lab.ask(
            "emit([os.getresuid(), os.getresgid(), os.getgroups(),\n"
            "      attempt(open, '/etc/contract', 'w')])",
            self.ask(lab),
        )
        users, groups, others, written = found
        same((users, groups), ([1000] * 3, [1001] * 3), "real, effective and saved ids")
        same(set(others) - {1001}, set(), "groups that nobody asked for")
        hold(written, "an ordinary user wrote to /etc")
        by_name = lab.ask("emit(os.getuid())", {"process": {"user": "root"}})
        same(by_name, 0, "the user of a name in the root's /etc/passwd")


class Groups(FeatureContract):
    """Supplementary groups."""

    feature = "process.groups"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"groups": [1002, 1003]}}

    def prove(self, lab: Lab) -> None:
        found = set(lab.ask("emit(os.getgroups())", self.ask(lab)))
        same(found - {0}, {1002, 1003}, "the supplementary groups")


class Terminal(FeatureContract):
    """A terminal with resize and job control."""

    feature = "process.terminal"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"terminal": True}}

    def prove(self, lab: Lab) -> None:
        live = lab.create(lab.script(_TERMINAL), self.ask(lab))
        hold(live.master >= 0, "the master of the terminal was not handed over")
        terminal.set_window_size(live.master, _size(81, 31))
        live.start()
        said = _said(live, b"81 31")
        hold(b"[True, True, True] True" in said, f"streams and session: {said!r}")
        terminal.set_window_size(live.master, _size(82, 32))
        _said(live, b"82 32")
        os.write(live.master, b"\x03")
        _said(live, b"interrupted")
        same(live.wait().code, 7, "the exit code after Ctrl-C was handled")


def _size(columns: int, rows: int) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in (rows, columns, 0, 0))


def _said(live: Live, text: bytes) -> bytes:
    """What came out of the terminal, once `text` is in it."""
    os.set_blocking(live.master, False)
    said, deadline = b"", time.monotonic() + PATIENCE
    while text not in said:
        try:
            said += os.read(live.master, 4096)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has opened the other side: not yet, or no more
                raise
            time.sleep(0.01)
        if time.monotonic() > deadline:
            breach(f"the terminal said {said!r}, and not {text!r}")
    return said


class Init(FeatureContract):
    """An init that reaps orphans and keeps the exit code."""

    feature = "process.init"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"init": True}}

    def prove(self, lab: Lab) -> None:
        ran = lab.run(lab.script(_ORPHANS), self.ask(lab))
        same(ran.status.code, 7, "the exit code through the init")
        pid, left = _json(ran.stdout)
        hold(pid != 1, "the program is process 1 itself")
        same(left, [], "orphans that nobody reaped")


class Rlimits(FeatureContract):
    """Resource limits per process, and the umask."""

    feature = "process.rlimits"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"rlimits": {"nofile": {"soft": 256, "hard": 512}}, "umask": 0o077}}

    def prove(self, lab: Lab) -> None:
        limit, opened, mode = lab.ask(
            "import resource\n"
            "limit = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
            "os.close(os.open('/tmp/contract', os.O_CREAT | os.O_WRONLY, 0o666))\n"
            "mode = os.stat('/tmp/contract').st_mode & 0o777\n"
            "opened = 0\n"
            "while opened < 600 and not attempt(os.dup, 0):\n"
            "    opened += 1\n"
            "emit([limit, opened, mode])",
            self.ask(lab),
        )
        same(limit, [256, 512], "RLIMIT_NOFILE")
        hold(opened < 256, f"{opened} descriptors were opened above the standard streams")
        same(mode, 0o600, "the mode of a new file under umask 077")


class OomScore(FeatureContract):
    """An adjusted OOM score."""

    feature = "process.oom_score_adj"

    def ask(self, lab: Lab) -> Document:
        return {"process": {"oom_score_adj": 500}}

    def prove(self, lab: Lab) -> None:
        text = lab.ask("emit(read('/proc/self/oom_score_adj'))", self.ask(lab))
        same(text.strip(), "500", "oom_score_adj")


def _json(output: bytes) -> list[object]:
    import json

    found: list[object] = json.loads(output)
    return found


CONTRACTS = (User, Groups, Terminal, Init, Rlimits, OomScore)
