"""Small root filesystems for tests: busybox, and what hostile people make of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support import needs

if TYPE_CHECKING:
    from pathlib import Path


def busybox(directory: Path) -> Path:
    """A root with a static busybox under all its names; anyone may read it."""
    needs.require("busybox")
    program = shutil.which("busybox")
    assert program is not None
    (directory / "bin").mkdir(parents=True)
    shutil.copy(program, directory / "bin" / "busybox")
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        if name != "busybox":
            (directory / "bin" / name).symlink_to("busybox")
    for name, mode in {"tmp": 0o1777, "etc": 0o755}.items():
        (directory / name).mkdir()
        (directory / name).chmod(mode)
    return directory


def copy(root: Path, directory: Path) -> Path:
    """A root of its own that a test may spoil."""
    shutil.copytree(root, directory, symlinks=True)
    return directory


def tree(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every path below: mode, owner, group, content. To see that nothing was touched."""
    found = {}
    for top, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = os.path.join(top, name)
            status = os.lstat(path)
            content = b""
            if os.path.islink(path):
                content = os.fsencode(os.readlink(path))
            elif name in files and os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            key = os.path.relpath(path, directory)
            found[key] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found
