"""One spec, run by every backend that is registered: the same output, the same exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import roots
from tests.support.backends import able

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = [
    pytest.mark.needs("root", "busybox"),
    pytest.mark.parametrize("backend", able(), indirect=True),
]

SPEC = """
[root]
source = "dir:{root}"

[process]
args = ["/bin/sh", "-c", '''
echo "$(id -u):$(id -g) $(id -G) $(pwd) $GREETING"
echo "$(ulimit -n) $(umask) $0 $#"
head -n 1 /etc/motd; echo changed > /etc/motd && cat /etc/motd
grep NoNewPrivs /proc/self/status
readlink /proc/self/fd/0; cat; echo to stderr >&2
exit 42''', "name", "one argument", "*"]
cwd = "/srv/work"
umask = 0o027
env = {{ GREETING = "héllo wörld" }}
rlimits.nofile = {{ soft = 64, hard = 128 }}

[privileges]
no_new_privileges = true

[limits]
timeout = 20
"""
# What the script comes to, wherever it runs. Its input is closed, and the root is a private copy.
OUTPUT = """\
0:0 0 /srv/work héllo wörld
64 0027 name 2
of the root
changed
NoNewPrivs:\t1
/dev/null
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    root = roots.busybox(tmp_path / "root")
    (root / "srv" / "work").mkdir(parents=True)
    (root / "etc").mkdir(exist_ok=True)
    motd = root / "etc" / "motd"
    motd.write_text("of the root\n")
    motd.chmod(0o666)
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(root=root))
    return path


def test_it_gives_the_same(isolate_cmd: Isolate, spec: Path, backend: str) -> None:
    done = isolate_cmd("run", "--spec", str(spec), f"--backend={backend}", "--no-stdin")
    assert (done.stdout, done.returncode) == (OUTPUT, 42), done.stderr
    assert done.stderr == "to stderr\n"
    assert (spec.parent / "root/etc/motd").read_text() == "of the root\n"


def test_what_it_would_do_is_explained(isolate_cmd: Isolate, spec: Path, backend: str) -> None:
    words = ("explain", "--spec", str(spec), f"--backend={backend}")
    text = isolate_cmd(*words, check=True).stdout
    told = json.loads(isolate_cmd(*words, "--json", check=True).stdout)
    assert told["unsupported"] == []
    steps = told["steps"]
    assert len({step["name"] for step in steps}) == len(steps) > 1
    everything = " ".join(step["what"] for step in steps)
    for asked in ("/srv/work", "/bin/sh"):
        assert asked in everything, asked
    for step in steps:
        assert step["name"] in text
    assert isolate_cmd("ps", "--json", check=True).stdout.strip() == "[]"
