"""A jail's addresses on an interface of the host: there while the jail is, and never longer."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from isolate.linux import address
from isolate.state.store import Store
from isolate.state.undo import undo
from tests.support.jailed import inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "cgroup2", "landlock", "ip")

ONE, TWO, SIX = "192.0.2.17", "192.0.2.18", "2001:db8::17"


@pytest.fixture
def link() -> Iterator[str]:
    """An interface of the host that leads nowhere."""
    name = f"isoja{os.getpid() % 10**6}"
    other = f"{name}p"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", other], check=True)
    try:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def addresses(link: str) -> list[str]:
    """The addresses of a link with their lengths, but the kernel's own."""
    done = subprocess.run(
        ["ip", "-o", "address", "show", "dev", link], check=True, capture_output=True, text=True
    )
    found = [line.split()[3] for line in done.stdout.splitlines()]
    return sorted(text for text in found if not text.startswith("fe80:"))


def test_they_are_there_while_the_jail_is(isolate_cmd: Isolate, link: str) -> None:
    options = [f"interface={link}", f"ip4.addr={ONE},{TWO}/24", f"ip6.addr={SIX}"]
    words = [word for option in options for word in ("-o", option)]
    hook = f"exec.created=ip -o address show dev {link}"
    code = """
for family, address in ((socket.AF_INET, "192.0.2.18"), (socket.AF_INET6, "2001:db8::17")):
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2])
    found[address] = client.getsockname()[0]
"""
    found = inside(isolate_cmd, code, *options)
    assert found == {TWO: ONE, SIX: SIX}  # what isn't bound comes from the first
    assert addresses(link) == []
    done = isolate_cmd("run", "--backend=jail", *words, "-o", hook, "--", "true", check=True)
    assert f"{ONE}/32" in done.stdout
    assert f"{TWO}/24" in done.stdout
    assert f"{SIX}/128" in done.stdout
    assert addresses(link) == []


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_first_address_is_the_source(isolate_cmd: Isolate, link: str, value: str) -> None:
    code = f"""
server = socket.create_server(("{TWO}", 0))
found["source"] = socket.create_connection(server.getsockname()).getsockname()[0]
"""
    both = f"ip4.addr={link}|{ONE},{link}|{TWO}"
    assert inside(isolate_cmd, code, both, f"ip4.saddrsel={value}") == {"source": ONE}


def test_the_name_of_the_host_is_resolved_once(isolate_cmd: Isolate, link: str) -> None:
    code = 'found["bound"] = socket.create_server(("0.0.0.0", 0)).getsockname()[0]'
    options = (f"interface={link}", "ip_hostname=1", f"host.hostname={ONE}")
    assert inside(isolate_cmd, code, *options) == {"bound": ONE}
    assert addresses(link) == []


def test_what_was_there_before_stays(isolate_cmd: Isolate, link: str) -> None:
    subprocess.run(["ip", "address", "add", f"{ONE}/24", "dev", link], check=True)
    inside(isolate_cmd, "", f"interface={link}", f"ip4.addr={ONE}")
    assert addresses(link) == [f"{ONE}/24"]


def test_two_jails_have_not_one_address(isolate_cmd: Isolate, link: str) -> None:
    words = ("--backend=jail", "-o", f"ip4.addr={link}|{ONE}")
    isolate_cmd("run", "-d", "--name", "one", *words, "--", "sleep", "60", check=True)
    try:
        done = isolate_cmd("run", *words, "--", "true")
        assert done.returncode == 125
        assert "another jail's" in done.stderr
        assert addresses(link) == [f"{ONE}/32"]
    finally:
        isolate_cmd("delete", "--force", "one")
    assert addresses(link) == []


def test_gc_takes_them_after_a_kill(isolate_cmd: Isolate, link: str) -> None:
    words = ("run", "--backend=jail", "-o", f"ip4.addr={link}|{ONE}", "--", "sh", "-c")
    with isolate_cmd.popen(*words, "echo up; sleep 60") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        client.kill()
    assert addresses(link) == [f"{ONE}/32"]
    isolate_cmd("gc", check=True)
    assert addresses(link) == []


def test_an_unknown_interface_is_told(isolate_cmd: Isolate) -> None:
    words = ("-o", "interface=nosuch0", "-o", f"ip4.addr={ONE}")
    done = isolate_cmd("run", "--backend=jail", *words, "--", "true")
    assert done.returncode == 125
    assert "there is no nosuch0" in done.stderr


def test_a_forged_journal_takes_nothing_of_others(link: str, tmp_path: Path) -> None:
    subprocess.run(["ip", "address", "add", f"{ONE}/24", "dev", link], check=True)
    entry = Store(f"{tmp_path}/state").reserve("dead")
    entry.release()
    for forged in (
        {"interface": link, "address": ONE},
        {"interface": "lo", "address": "127.0.0.1"},
    ):
        entry.journal.record("address", **forged)
    entry.journal.record("address", interface=link, address="no address")
    report = undo(entry.journal)
    assert len(report.refused) == 1
    assert report.failures == []
    assert addresses(link) == [f"{ONE}/24"]
    assert address.address_protocol("lo", bytes([127, 0, 0, 1])) is not None
