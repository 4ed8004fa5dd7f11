"""The root: setting an overlay up, and unpacking an archive against tar(1)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.result import Result, milliseconds
from benchmarks.trials import interleave
from isolate.linux import mount
from isolate.native import overlay
from isolate.rootfs import tar
from isolate.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.setup import Setup

_OVERLAY = 0.3  # milliseconds
_FOLDERS = 20


def run(setup: Setup) -> Result:
    """Both, in one run."""
    archive = _archive(setup.directory / "files.tar", files=20 if setup.quick else 2000)
    subjects = {
        "overlay": lambda: _overlay(setup),
        "isolate unpacks": lambda: _unpack_here(setup, archive),
        "tar -x": lambda: _unpack_by_tar(setup, archive),
    }
    samples = interleave(subjects, blocks=setup.blocks, rounds=1 if setup.quick else 2)
    result = Result("Root filesystems", "ms", milliseconds(samples))
    result.goal_value("an overlay's set-up", result.median("overlay"), _OVERLAY, "ms")
    goal = "unpacking ≤ 2 × `tar -x` (half its speed)"
    result.goal_ratio(goal, "isolate unpacks", "tar -x", 2.0)
    result.remarks.append("the archive: 2,000 files of 0 to 64 kB in 20 folders, not compressed")
    return result


def _archive(path: Path, *, files: int) -> str:
    """Files of sizes as a system has them, the same ones in each run."""
    tree = path.with_suffix("")
    for number in range(files):
        folder = tree / f"folder-{number % _FOLDERS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_bytes(b"x" * (number * 7919 % 65536))
    subprocess.run(["tar", "-C", str(tree), "-cf", str(path), "."], check=True)
    return str(path)


def _overlay(setup: Setup) -> float:
    """As a launch does it: the layer's directories, the superblock, the detached mount."""
    directory = setup.directory / "overlay"
    directory.mkdir()
    journal = Journal(f"{directory}/journal")
    began = time.perf_counter()
    layer = mount.open_tree_clone(setup.root)
    context = mount.fsopen("overlay")
    overlay.make_layer(str(directory), 0)
    overlay.configure(context, [layer], str(directory), journal)
    made = mount.fsmount(context, mount.MOUNT_ATTR_NODEV)
    seconds = time.perf_counter() - began
    for descriptor in (made, context, layer):
        os.close(descriptor)
    shutil.rmtree(directory)
    return seconds


def _unpack_here(setup: Setup, archive: str) -> float:
    """Into a cache that is empty, with its checks and its digest."""
    cache = setup.directory / "unpacked"
    before = os.environ["ISOLATE_CACHE"]
    os.environ["ISOLATE_CACHE"] = str(cache)
    try:
        began = time.perf_counter()
        tar.prepare(archive)
        seconds = time.perf_counter() - began
    finally:
        os.environ["ISOLATE_CACHE"] = before
    shutil.rmtree(cache)
    return seconds


def _unpack_by_tar(setup: Setup, archive: str) -> float:
    target = setup.directory / "by-tar"
    target.mkdir()
    began = time.perf_counter()
    subprocess.run(["tar", "-C", str(target), "-xf", archive], check=True)
    seconds = time.perf_counter() - began
    shutil.rmtree(target)
    return seconds
