"""The contracts of the root and of the mounts in it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isolate import rootfs
from isolate.testing.features.base import FeatureContract, compares, if_claimed
from isolate.testing.hold import hold, nothing, same

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab

# The oldest way out of a chroot, and the open doors that make it unnecessary.
_ESCAPE = """
def above():
    os.makedirs("/tmp/escape", exist_ok=True)
    here = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/escape")
    os.fchdir(here)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
found = [f"/proc/{pid}/root" for pid in os.listdir("/proc") if pid.isdigit()]
found = [path for path in found if read(path + given[0])]
attempt(above)
emit([*found, *(["chroot(2)"] if read(given[0]) else [])])
"""

_WRITES = """
def create(folder):
    with open(folder + "/contract-write", "w"):
        pass
root = os.stat("/").st_dev
folders = ["/", "/etc", "/usr", "/bin", "/root", "/home", "/var", "/tmp"]
ours = [one for one in folders if os.path.isdir(one) and os.stat(one).st_dev == root]
tried = {one: attempt(create, one) for one in ours}
tried["chmod /etc/passwd"] = attempt(os.chmod, "/etc/passwd", 0o600)
tried["unlink /etc/passwd"] = attempt(os.unlink, "/etc/passwd")
emit(tried)
"""

_LAYER = """
with open("/etc/contract-new", "w") as file:
    file.write("new")
with open("/etc/passwd", "a") as file:
    file.write("contract:x:1:1::/:/bin/sh\\n")
os.unlink("/etc/group")
os.mkdir("/contract-directory")
emit(True)
"""


class Root(FeatureContract):
    """Another root directory."""

    feature = "root"

    def ask(self, lab: Lab) -> Document:
        return {}

    def prove(self, lab: Lab) -> None:
        seen, device, inode = lab.ask(
            "found = os.stat('/')\nemit([read(given[0]), found.st_dev, found.st_ino])",
            given=[lab.marker],
        )
        hold(seen is None, "a file of the host is seen inside")
        host = os.stat("/")
        if compares(lab):
            hold((device, inode) != (host.st_dev, host.st_ino), "the root is the host's own")


class Fence(FeatureContract):
    """A root that its own root user can't leave."""

    feature = "root.fence"

    def prove(self, lab: Lab) -> None:
        rights = if_claimed(
            lab, "privileges.capabilities", {"privileges": {"cap_add": ["CAP_SYS_CHROOT"]}}
        )
        ways = lab.ask(_ESCAPE, self.ask(lab), rights, given=[lab.marker])
        nothing(ways, "ways out of the root")


class ReadOnly(FeatureContract):
    """A root that nothing can be written to."""

    feature = "root.readonly"

    def ask(self, lab: Lab) -> Document:
        return {"root": {"readonly": True}}

    def prove(self, lab: Lab) -> None:
        tried = lab.ask(_WRITES, self.ask(lab))
        refused = (errno.EROFS, errno.EACCES, errno.EPERM)
        nothing([what for what, number in tried.items() if number not in refused], "written to")


class Layer(FeatureContract):
    """A writable layer of the container's own; the source stays as it is."""

    feature = "root.layer"

    def prove(self, lab: Lab) -> None:
        source = rootfs.prepare("base").layers[0]
        before = _content(source)
        own = {"root": {"source": f"dir:{source}"}}
        lab.ask(_LAYER, self.ask(lab), own)
        same(_content(source), before, "the source after a run")
        seen = lab.ask("emit(read('/etc/contract-new'))", self.ask(lab), own)
        hold(seen is None, "one container sees what another has written")


def _content(root: str) -> dict[str, bytes | None]:
    """The files of /etc by name, and the names in /."""
    found: dict[str, bytes | None] = dict.fromkeys(os.listdir(root))
    for name in sorted(os.listdir(f"{root}/etc")):
        path = f"{root}/etc/{name}"
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                found[f"etc/{name}"] = file.read()
    return found


class Bind(FeatureContract):
    """Files and directories of the host; read-only ones stay as they are."""

    feature = "mounts.bind"

    def ask(self, lab: Lab) -> Document:
        return {"mounts": [{"source": _shared(lab), "target": "/contract", "readonly": True}]}

    def prove(self, lab: Lab) -> None:
        source = _shared(lab)
        text, written, unlinked = lab.ask(
            "emit([read('/contract/file'), attempt(open, '/contract/new', 'w'),\n"
            "      attempt(os.unlink, '/contract/file')])",
            self.ask(lab),
        )
        same(text, lab.token, "the file of the host, read inside")
        hold(written and unlinked, "a read-only bind mount was written to")
        same(os.listdir(source), ["file"], "the host's directory")
        _prove_writable(lab, source)


def _prove_writable(lab: Lab, source: str) -> None:
    mounts = [
        {"source": source, "target": "/contract"},
        {"source": f"{source}/file", "target": "/one", "readonly": True},
    ]
    text = lab.ask("open('/contract/new', 'w').close()\nemit(read('/one'))", {"mounts": mounts})
    same(text, lab.token, "a single file of the host, read inside")
    same(sorted(os.listdir(source)), ["file", "new"], "the host's directory after a write inside")


def _shared(lab: Lab) -> str:
    """A directory of the host that anyone may write to, with a file that anyone may read."""
    path = f"{lab.directory}/shared"
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)  # noqa: S103 - another user inside is another user outside
    with open(f"{path}/file", "w", encoding="ascii") as file:
        file.write(lab.token)
    os.chmod(f"{path}/file", 0o644)
    return path


class Tmpfs(FeatureContract):
    """Memory filesystems, with a size and a mode."""

    feature = "mounts.tmpfs"

    def ask(self, lab: Lab) -> Document:
        return {"mounts": [{"type": "tmpfs", "target": "/contract", "size": 2**20, "mode": 0o700}]}

    def prove(self, lab: Lab) -> None:
        small, large, mode = lab.ask(
            "def fill(size):\n"
            "    with open('/contract/file', 'wb', 0) as file:\n"
            "        while size > 0:\n"
            "            size -= file.write(bytes(min(size, 65536)))\n"
            "emit([attempt(fill, 2**19), attempt(fill, 2**22), os.stat('/contract').st_mode])",
            self.ask(lab),
        )
        same((small, large), (0, errno.ENOSPC), "writing below and above the size")
        same(mode & 0o7777, 0o700, "the mode")


class Kernel(FeatureContract):
    """Further filesystems of the kernel's."""

    feature = "mounts.kernel"

    def ask(self, lab: Lab) -> Document:
        return {
            "mounts": [
                {"type": "proc", "target": "/contract-proc"},
                {"type": "mqueue", "target": "/contract-queues"},
            ]
        }

    def prove(self, lab: Lab) -> None:
        table, status, queues, root = lab.ask(
            "emit([read('/proc/self/mountinfo'), read('/contract-proc/self/status'),\n"
            "      os.stat('/contract-queues').st_dev, os.stat('/').st_dev])",
            self.ask(lab),
        )
        hold(status, "there is no proc at /contract-proc")
        hold(queues != root, "nothing is mounted at /contract-queues")
        lines = (table or "").splitlines()  # a backend may hide the table
        found = {line.split()[4]: line.partition(" - ")[2].split()[0] for line in lines}
        same(found.get("/contract-queues", "mqueue"), "mqueue", "the filesystem mounted there")


class IdMapped(FeatureContract):
    """Bind mounts whose owners go through the user map."""

    feature = "mounts.idmap"

    def ask(self, lab: Lab) -> Document:
        source = _shared(lab)
        os.chmod(source, 0o700)
        mount = {"source": source, "target": "/contract", "idmap": True}
        return {"mounts": [mount], "privileges": {"users": "private"}}

    def prove(self, lab: Lab) -> None:
        source = _shared(lab)
        owner = lab.ask(
            "open('/contract/new', 'w').close()\nemit(os.stat('/contract/file').st_uid)",
            self.ask(lab),
        )
        same(owner, 0, "the owner inside of a file of the host's root")
        same(os.stat(f"{source}/new").st_uid, 0, "the owner outside of a file written inside")


CONTRACTS = (Root, Fence, ReadOnly, Layer, Bind, Tmpfs, Kernel, IdMapped)
