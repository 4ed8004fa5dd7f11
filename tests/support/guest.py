"""A machine of pure cgroup version 2: the distribution's kernel in QEMU, on this host's own files.

The guest sees the host's root read-only through virtiofs, below a writable layer in memory; a
small ext4 disk holds what needs id-mapped mounts, which virtiofs has not. Emulated by TCG: a
/dev/kvm that exists does not always work.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
_PACKAGE = "linux-image-cloud-amd64"
_MODULES = (  # in the order of their dependencies
    "virtio/virtio_ring",
    "virtio/virtio",
    "virtio/virtio_pci_modern_dev",
    "virtio/virtio_pci_legacy_dev",
    "virtio/virtio_pci",
    "block/virtio_blk",
    "fuse/fuse",
    "fuse/virtiofs",
    "overlayfs/overlay",
)
_FOLDERS = {"virtio": "drivers", "block": "drivers", "fuse": "fs", "overlayfs": "fs"}
_MARK = "guest-exit-status:"

_CHECKOUT = Path(__file__).parents[2]
# How a script in the guest begins that runs `isolate`.
ENVIRONMENT = f"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONPYCACHEPREFIX=/disk/pycache
export ISOLATE_CACHE=/disk/cache ISOLATE_ROOT=/disk/state
mkdir -p /disk/cache /disk/tmp; export TMPDIR=/disk/tmp
cd {shlex.quote(str(_CHECKOUT))}
python={shlex.quote(sys.executable)}
"""

_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for m in /modules/*; do $b insmod $m; done
$b mount -t virtiofs -o ro host /host
$b mount -t tmpfs tmpfs /top; $b mkdir /top/upper /top/work
$b mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work overlay /new
$b mkdir -p /new/disk
$b mount -t ext4 /dev/vda /new/disk
$b mount -t proc proc /new/proc; $b mount -t sysfs sys /new/sys; $b mount -t devtmpfs dev /new/dev
$b mkdir -p /new/dev/pts /new/dev/shm
$b mount -t devpts devpts /new/dev/pts; $b mount -t tmpfs tmpfs /new/dev/shm
$b mount -t tmpfs tmpfs /new/run
$b mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
$b ip link set lo up
$b umount /proc /sys /dev
exec $b switch_root /new /bin/sh /disk/init
"""

# After switch_root and not chroot: below a chroot the kernel makes no user namespace.
_SECOND = f"""/bin/sh /disk/command
echo "{_MARK}$?"
sync
/bin/busybox poweroff -f
"""


class Answer(NamedTuple):
    """How a command in the guest ended, and all that it printed."""

    status: int
    output: str


class Kernel:
    """The distribution's cloud kernel, unpacked (not installed) below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if not (directory / "boot").is_dir():
            self._unpack()
        self.image = next((directory / "boot").glob("vmlinuz-*"))
        self.modules = next((directory / "lib/modules").iterdir()) / "kernel"

    @staticmethod
    def _depends() -> str:
        """What apt says of the meta package; its lists are fetched where there are none yet."""
        ask = ["apt-cache", "depends", _PACKAGE]
        told = subprocess.run(ask, check=False, capture_output=True, text=True)
        if "Depends:" not in told.stdout:
            subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
            told = subprocess.run(ask, check=True, capture_output=True, text=True)
        return told.stdout

    def _unpack(self) -> None:
        depends = self._depends()
        real = next(w for w in depends.split() if w.startswith("linux-image-") and w != _PACKAGE)
        self._directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "download", "-q", real],
            check=True,
            capture_output=True,
            cwd=self._directory,
        )
        archive = next(self._directory.glob("linux-image-*.deb"))
        subprocess.run(["dpkg", "-x", archive, self._directory], check=True)
        archive.unlink()


def run(command: str, kernel: Kernel, work: Path, *, timeout: float, boot: str = "") -> Answer:
    """Boot the guest, run a shell script in it as root, and shut it down.

    `boot` are further parameters of the kernel.
    """
    disk = _make_disk(work, command)
    initrd = _make_initrd(work, kernel)
    socket = work / "virtiofs.sock"
    daemon = subprocess.Popen(
        [VIRTIOFSD, f"--socket-path={socket}", "-o", "source=/,cache=auto,sandbox=chroot"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(socket)
        output = subprocess.run(
            _qemu(kernel, initrd, disk, socket, boot),
            capture_output=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout.decode(errors="replace")
    finally:
        daemon.kill()
        daemon.wait()
    _before, mark, after = output.rpartition(_MARK)
    return Answer(int(after.split()[0]) if mark else -1, output)


def _make_disk(work: Path, command: str) -> Path:
    """An ext4 image with the command in it."""
    content = work / "disk"
    content.mkdir()
    (content / "command").write_text(command, encoding="utf-8")
    (content / "init").write_text(_SECOND, encoding="utf-8")
    image = work / "disk.ext4"
    with image.open("wb") as file:
        os.truncate(file.fileno(), 1 << 30)
    subprocess.run(
        ["/sbin/mkfs.ext4", "-q", "-F", "-d", content, image], check=True, capture_output=True
    )
    return image


def _make_initrd(work: Path, kernel: Kernel) -> Path:
    tree = work / "initrd"
    for name in ("bin", "proc", "sys", "dev", "host", "top", "new", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "init").write_text(_INIT, encoding="utf-8")
    (tree / "init").chmod(0o755)
    for number, module in enumerate(_MODULES):
        folder = _FOLDERS[module.split("/")[0]]
        shutil.copy(kernel.modules / folder / f"{module}.ko", tree / f"modules/{number}.ko")
    archive = work / "initrd.cpio"
    with archive.open("wb") as file:
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        subprocess.run(
            ["/bin/busybox", "cpio", "-o", "-H", "newc"],
            input=names.encode(),
            stdout=file,
            stderr=subprocess.DEVNULL,
            cwd=tree,
            check=True,
        )
    return archive


def _qemu(kernel: Kernel, initrd: Path, disk: Path, socket: Path, boot: str) -> Sequence[str]:
    return [
        "qemu-system-x86_64",
        *("-machine", "q35,accel=tcg,memory-backend=mem", "-cpu", "max", "-smp", "2"),
        *("-object", "memory-backend-memfd,id=mem,size=1536M,share=on", "-m", "1536M"),
        *("-kernel", str(kernel.image), "-initrd", str(initrd)),
        *("-append", f"console=ttyS0 quiet panic=-1 loglevel=3 {boot}"),
        *("-chardev", f"socket,id=fs,path={socket}"),
        *("-device", "vhost-user-fs-pci,chardev=fs,tag=host"),
        *("-drive", f"file={disk},format=raw,if=virtio"),
        *("-display", "none", "-serial", "stdio", "-no-reboot", "-nodefaults", "-net", "none"),
    ]


def _wait_for(socket: Path) -> None:
    deadline = time.monotonic() + 10
    while not socket.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{VIRTIOFSD} made no socket")
        time.sleep(0.01)
