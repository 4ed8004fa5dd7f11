"""`isolate jail`, `jls`, `jexec` on a jail.conf, in the background, as an ordinary user."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns", "landlock", "busybox")

CONF = """
path = "{root}";
exec.start = "echo started $name";
exec.stop = "echo stopping";
* {{ persist; }}
web {{ children.max = 2; host.hostname = web.example; meta = "of the web"; depend = base; }}
web.cache {{ allow.raw_sockets = 0; }}
base {{ }}
plain {{ persist = 0; exec.stop = ; exec.start = ; command = "exec sleep 1000"; }}
"""


@pytest.fixture
def conf(rootless_cmd: Isolate, busybox: Path) -> Iterator[str]:
    path = rootless_cmd.state.parent / "jail.conf"
    path.write_text(CONF.format(root=busybox))
    path.chmod(0o644)
    yield str(path)
    rootless_cmd("jail", "-r", "*")
    for row in json.loads(rootless_cmd("ps", "--json", check=True).stdout):
        rootless_cmd("delete", "--force", row["id"])


def rows(isolate: Isolate, *names: str) -> list[dict[str, object]]:
    done = isolate("jls", "--json", *names, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def logged(isolate: Isolate, name: str, text: str) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if text in isolate("logs", name).stdout:
            return True
        time.sleep(0.05)
    return False


def test_a_family_of_jails(rootless_cmd: Isolate, conf: str) -> None:
    made = rootless_cmd("jail", "-f", conf, "-c", "web.cache", check=True).stdout.splitlines()
    assert made == ["base: created", "web: created", "web.cache: created"]
    found = rows(rootless_cmd, "jid", "name", "parent", "children.cur", "host.hostname")
    by_name = {str(row["name"]): row for row in found}
    assert by_name["web"]["children.cur"] == 1
    assert by_name["web"]["host.hostname"] == "web.example"
    assert by_name["web.cache"]["parent"] == by_name["web"]["jid"]
    assert logged(rootless_cmd, "web.cache", "started web.cache")
    removed = rootless_cmd("jail", "-r", "web", check=True).stdout.splitlines()
    assert removed == ["web.cache: removed", "web: removed"]
    assert [row["name"] for row in rows(rootless_cmd, "name")] == ["base"]


def test_a_jail_exists_once(rootless_cmd: Isolate, conf: str) -> None:
    rootless_cmd("jail", "-f", conf, "-c", "base", check=True)
    again = rootless_cmd("jail", "-f", conf, "-c", "base")
    assert again.returncode == 1
    assert "exists" in again.stderr
    rootless_cmd("jail", "-r", "base", check=True)
    rootless_cmd("jail", "-f", conf, "-c", "base", check=True)


def test_what_can_be_changed(rootless_cmd: Isolate, conf: str) -> None:
    rootless_cmd("jail", "-f", conf, "-c", "base", check=True)
    with open(conf, "a") as file:
        file.write("base { meta = changed; }\n")
    rootless_cmd("jail", "-f", conf, "-m", "base", check=True)
    assert rows(rootless_cmd, "meta") == [{"meta": "changed"}]
    with open(conf, "a") as file:
        file.write("base { securelevel = 2; }\n")
    refused = rootless_cmd("jail", "-f", conf, "-m", "base")
    assert refused.returncode == 1
    assert "securelevel" in refused.stderr


def test_tables_and_pairs(rootless_cmd: Isolate, conf: str) -> None:
    rootless_cmd("jail", "-f", conf, "-c", "base", check=True)
    table = rootless_cmd("jls", check=True).stdout.splitlines()
    assert table[0].split() == ["JID", "IP", "ADDRESS", "HOSTNAME", "PATH", "NAME"]
    pairs = rootless_cmd("jls", "-j", "base", "-n", "name", "persist", check=True).stdout
    assert pairs == "name=base persist=true\n"
    wrong = rootless_cmd("jls", "securelvl")
    assert "did you mean securelevel" in wrong.stderr


def test_mistakes_have_a_place_or_a_hint(rootless_cmd: Isolate, conf: str) -> None:
    for argv, words in (
        (("jail", "-f", conf, "-c", "nobody"), "isn't defined"),
        (("jail", "-f", conf, "-c"), "no jail is named"),
        (("jail", "-f", conf, "base"), "one of -c, -m and -r"),
        (("jail", "-r", "nobody"), "there is no jail"),
        (("jail", "-f", "/nonexistent", "-c", "x"), "/nonexistent:1:1"),
        (("jexec", "nobody", "--", "id"), "there is no jail"),
    ):
        done = rootless_cmd(*argv)
        assert done.returncode == 1, argv
        assert words in done.stderr
        assert "hint:" in done.stderr


def test_a_further_program_is_no_freer(rootless_cmd: Isolate, conf: str) -> None:
    """The capabilities, the filter, the hidden mount table and Landlock hold for it as well."""
    rootless_cmd("jail", "-f", conf, "-c", "plain", check=True)
    script = (
        "cat /proc/self/mountinfo; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status;"
        "mknod /fifo p && echo fifo; mknod /null c 1 3 || echo refused; ls /proc/1/root || echo no"
    )
    done = rootless_cmd("jexec", "plain", "--", "sh", "-c", script)
    assert done.stdout, done.stderr
    lines = done.stdout.split("\n")
    assert lines[:5] == [f"Cap{kind}:\t{0:016x}" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
    assert lines[5:10] == ["NoNewPrivs:\t1", "Seccomp:\t2", "fifo", "refused", "no"]
    assert rootless_cmd("jexec", "plain", "--", "sh", "-c", "exit 7").returncode == 7
