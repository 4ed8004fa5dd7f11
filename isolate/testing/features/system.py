"""The contracts of the network, the host name, devices, kernel parameters, hooks, the kernel."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from isolate.testing.features.base import FeatureContract
from isolate.testing.features.views import reached
from isolate.testing.hold import hold, nothing, same

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab

_LOOPBACK = """
import socket
links = [line.split(":")[0].strip() for line in read("/proc/net/dev").splitlines()[2:]]
def talk():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=2).close()
emit([links, attempt(talk)])
"""


class NoNetwork(FeatureContract):
    """A loopback of its own and nothing else."""

    feature = "network.none"

    def ask(self, lab: Lab) -> Document:
        return {"network": {"mode": "none"}}

    def prove(self, lab: Lab) -> None:
        links, failed = lab.ask(_LOOPBACK, self.ask(lab))
        # Tunnel devices that the kernel puts into each new namespace lead nowhere and are down.
        strange = [link for link in links if link != "lo" and not link.endswith("0")]
        nothing(strange, "interfaces beside the loopback")
        same(failed, 0, "errno of talking over the loopback")
        nothing(reached(lab, self.ask(lab)), "sockets of the host are reached from inside")


class HostNetwork(FeatureContract):
    """The host's network."""

    feature = "network.host"

    def ask(self, lab: Lab) -> Document:
        return {"network": {"mode": "host"}}

    def prove(self, lab: Lab) -> None:
        hold("port" in reached(lab, self.ask(lab)), "a port of the host can't be reached")


class Hostname(FeatureContract):
    """A chosen host name."""

    feature = "hostname"

    def ask(self, lab: Lab) -> Document:
        return {"hostname": "contract-host"}

    def prove(self, lab: Lab) -> None:
        before = os.uname().nodename
        same(lab.ask("emit(os.uname().nodename)", self.ask(lab)), "contract-host", "the host name")
        same(os.uname().nodename, before, "the host's own name afterwards")


class Devices(FeatureContract):
    """Chosen device nodes of the host."""

    feature = "devices"

    def ask(self, lab: Lab) -> Document:
        return {"devices": [{"path": "/dev/zero", "target": "/dev/contract"}]}

    def prove(self, lab: Lab) -> None:
        mode, number, text = lab.ask(
            "found = os.stat('/dev/contract')\n"
            "with open('/dev/contract', 'rb', 0) as device:\n"
            "    emit([found.st_mode, found.st_rdev, device.read(4).hex()])",
            self.ask(lab),
        )
        hold(stat.S_ISCHR(mode), "/dev/contract is no character device")
        same(number, os.stat("/dev/zero").st_rdev, "its number")
        same(text, "00000000", "what is read from it")


class Sysctl(FeatureContract):
    """Kernel parameters of the container's own namespaces."""

    feature = "sysctl"

    def ask(self, lab: Lab) -> Document:
        return {"sysctl": {"kernel.msgmax": "4242"}}

    def prove(self, lab: Lab) -> None:
        path = "/proc/sys/kernel/msgmax"
        before = _read(path)
        text = lab.ask(f"emit(read({path!r}))", self.ask(lab))
        same(text.strip(), "4242", "kernel.msgmax inside")
        same(_read(path), before, "the host's kernel.msgmax afterwards")


class HooksContract(FeatureContract):
    """Hooks at the points of the OCI lifecycle, with the state on their standard input."""

    feature = "hooks"

    def ask(self, lab: Lab) -> Document:
        points = ("prestart", "create_runtime", "poststart", "poststop")
        return {"hooks": {point: [_hook(lab, point)] for point in points}}

    def prove(self, lab: Lab) -> None:
        live = lab.start(["sh", "-c", "exit 3"], self.ask(lab))
        same(live.wait().code, 3, "the exit code of a container with hooks")
        live.delete()
        said = [json.loads(line) for line in _read(_said(lab)).splitlines()]
        points = [row["point"] for row in said]
        same(points, ["prestart", "create_runtime", "poststart", "poststop"], "the hooks run")
        ids = {row["state"].get("id") for row in said}
        same(len(ids), 1, "ids in the states given to the hooks")


def _said(lab: Lab) -> str:
    return f"{lab.directory}/hooks"


def _hook(lab: Lab, point: str) -> dict[str, Any]:
    script = f'echo "{{\\"point\\": \\"{point}\\", \\"state\\": $(tr -d "\\n")}}" >> "$0"'
    args = ["sh", "-c", script, _said(lab)]
    return {"path": "/bin/sh", "args": args, "env": {"PATH": "/bin:/usr/bin"}}


class SeparateKernel(FeatureContract):
    """A kernel of its own."""

    feature = "kernel.separate"

    def prove(self, lab: Lab) -> None:
        path = "/proc/sys/kernel/random/boot_id"
        boot, version = lab.ask(f"emit([read({path!r}), read('/proc/version')])", self.ask(lab))
        if boot is not None:
            hold(boot != _read(path), "the boot id inside is the host's")
        else:
            hold(version != _read("/proc/version"), "the kernel inside is the host's")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


CONTRACTS = (
    NoNetwork,
    HostNetwork,
    Hostname,
    Devices,
    Sysctl,
    HooksContract,
    SeparateKernel,
)
