"""The contracts of the privileges: what the program may not do, tried and read back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from isolate.linux import capabilities
from isolate.spec import defaults
from isolate.testing import processes
from isolate.testing.features.base import FeatureContract, compares
from isolate.testing.hold import breach, hold, nothing, same
from isolate.testing.needs import need

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab

_STATUS = "emit(dict(line.split(':\\t', 1) for line in read('/proc/self/status').splitlines()\n"
_STATUS += "          if ':\\t' in line))"
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


class Capabilities(FeatureContract):
    """A chosen capability set."""

    feature = "privileges.capabilities"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"capabilities": ["CAP_CHOWN"]}}

    def prove(self, lab: Lab) -> None:
        chown = capabilities.to_mask(["CAP_CHOWN"])
        found = _sets(lab, self.ask(lab))
        known = capabilities.full()
        expected = {name: chown if name in _SETS[1:4] else 0 for name in _SETS}
        same({name: mask & known for name, mask in found.items()}, expected, "the sets")
        none = _sets(lab, {"privileges": {"cap_drop": ["ALL"]}})
        nothing([name for name, mask in none.items() if mask & known], "sets that aren't empty")
        number = lab.ask("emit(attempt(os.setuid, 1))", {"privileges": {"cap_drop": ["ALL"]}})
        hold(number, "root without capabilities became another user")


def _sets(lab: Lab, document: Document) -> dict[str, int]:
    found = lab.ask(_STATUS, document)
    return {name: int(found[name], 16) for name in _SETS}


class NoNewPrivileges(FeatureContract):
    """execve(2) never gives more rights."""

    feature = "privileges.no_new_privileges"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"no_new_privileges": True}}

    def prove(self, lab: Lab) -> None:
        found = lab.ask(_STATUS, self.ask(lab))
        same(found.get("NoNewPrivs"), "1", "NoNewPrivs")


class Seccomp(FeatureContract):
    """A system call filter: the default one, and a profile of the user's."""

    feature = "privileges.seccomp"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"seccomp": "default"}}

    def prove(self, lab: Lab) -> None:
        if compares(lab):
            same(lab.ask(_STATUS, self.ask(lab)).get("Seccomp"), "2", "Seccomp")
        path = f"{lab.directory}/profile.json"
        with open(path, "w", encoding="ascii") as file:
            json.dump(_PROFILE, file)
        made, listed = lab.ask(
            "emit([attempt(os.mkdir, '/tmp/contract'), attempt(os.listdir, '/tmp')])",
            {"privileges": {"seccomp": path}},
        )
        same((made, listed), (95, 0), "errno of mkdir, which the profile refuses, and of listdir")


_PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


class LsmLabel(FeatureContract):
    """An AppArmor profile or SELinux label."""

    feature = "privileges.lsm_label"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"lsm_label": _label() or "contract"}}

    def prove(self, lab: Lab) -> None:
        need(_label(), "lsm", "no AppArmor profile is loaded here")
        found = lab.ask("emit(read('/proc/self/attr/current'))", self.ask(lab))
        hold((found or "").startswith(str(_label())), f"the label inside is {found!r}")


def _label() -> str | None:
    """The first AppArmor profile that is loaded."""
    try:
        with open("/sys/kernel/security/apparmor/profiles", encoding="utf-8") as file:
            return file.readline().partition(" (")[0] or None
    except OSError:
        return None


class IdMaps(FeatureContract):
    """Chosen user and group maps."""

    feature = "privileges.id_maps"

    def ask(self, lab: Lab) -> Document:
        rows = [_map(os.geteuid()), _map(os.getegid())]
        return {"privileges": {"uid_map": [rows[0]], "gid_map": [rows[1]]}}

    def prove(self, lab: Lab) -> None:
        live = lab.start(
            lab.script(
                "emit([read('/proc/self/uid_map'), read('/proc/self/gid_map')])\ntime.sleep(60)"
            ),
            self.ask(lab),
        )
        uids, gids = live.emitted()
        asked = self.ask(lab)["privileges"]
        for text, (row,) in ((uids, asked["uid_map"]), (gids, asked["gid_map"])):
            expected = [row["inside"], row["outside"], row["size"]]
            same([int(word) for word in text.split()], expected, "the map")
        owners = {processes.status_field(pid, "Uid") for pid in live.pids()}
        outside = asked["uid_map"][0]["outside"]
        hold(not owners or {str(outside)} == {str(one).split()[0] for one in owners}, f"{owners}")


def _map(own: int) -> dict[str, int]:
    """A range for root's container; an ordinary user's own id."""
    if os.geteuid() == 0:
        return {"inside": 0, "outside": 2_000_000_000, "size": 65536}
    return {"inside": 0, "outside": own, "size": 1}


class MaskedPaths(FeatureContract):
    """Chosen paths hidden, a file and a directory."""

    feature = "privileges.masked_paths"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"masked_paths": ["/etc/passwd", "/sys/class"]}}

    def prove(self, lab: Lab) -> None:
        source = (
            "def names(path):\n"
            "    try:\n"
            "        return os.listdir(path)\n"
            "    except OSError:\n"
            "        return []\n"
            "emit([read('/etc/passwd') or '', names('/sys/class')])"
        )
        text, names = lab.ask(source)
        hold(text, "without a mask /etc/passwd is empty as well")
        text, names = lab.ask(source, self.ask(lab))
        same((text, names), ("", []), "what is seen of /etc/passwd and in /sys/class")


class Unmask(FeatureContract):
    """Nothing of /proc and /sys hidden: what is shown otherwise as empty has its content."""

    feature = "privileges.unmask"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"unmask": True}}

    def prove(self, lab: Lab) -> None:
        mounts = "emit([line.split()[4] for line in open('/proc/self/mountinfo')])"
        covers = {*defaults.MASKED_PATHS, *defaults.READONLY_PATHS}
        same(covers & set(lab.ask(mounts, self.ask(lab))), set(), "what is mounted over /proc")
        telling = "emit(read('/proc/interrupts') or '')"
        same(lab.ask(telling), "", "/proc/interrupts by default")
        hold(lab.ask(telling, self.ask(lab)), "/proc/interrupts is empty")


class Privileged(FeatureContract):
    """A mode without fences."""

    feature = "privileges.privileged"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"privileged": True}}

    def prove(self, lab: Lab) -> None:
        found = lab.ask(_STATUS, self.ask(lab))
        own = capabilities.read("self")
        if compares(lab):
            same(int(found["CapEff"], 16), own.bounding, "the effective set")
        for name in ("NoNewPrivs", "Seccomp"):
            same(found.get(name), processes.status_field(os.getpid(), name), name)


class HostUsers(FeatureContract):
    """Root inside is root outside, when that is asked for."""

    feature = "users.host"

    def ask(self, lab: Lab) -> Document:
        return {"privileges": {"users": "host"}}

    def prove(self, lab: Lab) -> None:
        live = lab.start(lab.script("emit(os.getuid())\ntime.sleep(60)"), self.ask(lab))
        inside = live.emitted()
        owners = {str(processes.status_field(pid, "Uid")).split()[0] for pid in live.pids()}
        if owners and owners != {str(inside)}:
            breach(f"user {inside} inside is {', '.join(sorted(owners))} outside")


CONTRACTS = (
    Capabilities,
    NoNewPrivileges,
    Seccomp,
    LsmLabel,
    IdMaps,
    MaskedPaths,
    Unmask,
    Privileged,
    HostUsers,
)
