"""What the cases share: a scratch directory, the root, the peers' bundles, compiled programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.spawner import UNIFIED, Spawner
from isolate.oci import to_oci
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).parent / "programs"
MEMORY, PIDS = 64 << 20, 100
OPTIONS = ["--memory", str(MEMORY), "--pids", str(PIDS)]
_FIRST_ID = 0x6FFF0000  # the peers' ids outside: a range that isolate hands out last
_IDS = 65536


class Setup:
    """A directory of its own for everything, removed at the end.

    Attributes:
        blocks, rounds: how much is measured; `quick` is a smoke run.
    """

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.blocks, self.rounds = (2, 1) if quick else (12, 8)
        self._spawners: dict[bool, Spawner] = {}
        os.environ["ISOLATE_ROOT"] = str(directory / "state")
        os.environ["ISOLATE_CACHE"] = str(directory / "cache")

    def close(self) -> None:
        """End what was started."""
        for spawner in self._spawners.values():
            spawner.close()

    @property
    def isolate(self) -> list[str]:
        """The command as a user has it: of this environment."""
        return [str(Path(sys.executable).parent / "isolate")]

    @cached_property
    def root(self) -> str:
        """A root of static busybox, root's own, readable by everybody."""
        root = self.directory / "root"
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
            (root / name).mkdir(parents=True)
        busybox = _found("busybox")
        shutil.copy(busybox, root / "bin" / "busybox")
        for name in ("sh", "true", "sleep", "cat"):
            (root / "bin" / name).symlink_to("busybox")
        shutil.copy(self.program("syscalls"), root / "bin" / "syscalls")
        return str(root)

    def program(self, name: str) -> str:
        """A C program of this folder, compiled."""
        made = self.directory / name
        if not made.exists():
            source = str(PROGRAMS / f"{name}.c")
            subprocess.run(["gcc", "-O2", "-static", "-o", str(made), source], check=True)
        return str(made)

    def spec(self, *args: str, **more: Any) -> Spec:
        """What every subject is asked for: all namespaces, the default filter, two limits."""
        return Spec.build(
            {
                "process": {"args": list(args)},
                "root": {"source": f"dir:{self.root}"},
                "limits": {"memory": MEMORY, "pids": PIDS},
                **more,
            },
            "",
        )

    def spawner(self, *, without_unified: bool = False) -> Spawner:
        """The process that starts programs."""
        if without_unified not in self._spawners:
            self._spawners[without_unified] = Spawner(without_unified=without_unified)
        return self._spawners[without_unified]

    def command(self, argv: list[str], *, copies: int = 1) -> Callable[[], float]:
        """A measure of a command's seconds, `copies` of it at once."""
        bare = argv[0] == "crun" and os.path.ismount(UNIFIED)
        return lambda: self.spawner(without_unified=bare).run(argv, copies)

    def bwrap(self, *args: str) -> list[str]:
        """Bubblewrap with all its namespaces. It has neither cgroups nor masked paths."""
        words = ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent"]
        return [*words, "--bind", self.root, "/", "--proc", "/proc", "--dev", "/dev", *args]

    def oci(self, runtime: str, *args: str) -> list[str]:
        """An OCI runtime with the equal spec, translated by isolate itself."""
        return [
            *[runtime, "--root", str(self.directory / f"{runtime}-state"), "run"],
            *["--bundle", self._bundle(args), f"bench-{os.getpid()}-{{}}"],
        ]

    def _bundle(self, args: tuple[str, ...]) -> str:
        directory = self.directory / f"bundle-{Path(args[0]).name}"
        if not directory.exists():
            directory.mkdir()
            shutil.copytree(self.root, directory / "rootfs", symlinks=True)
            for top, names, files in os.walk(directory):
                for name in (".", *names, *files):
                    os.chown(f"{top}/{name}", _FIRST_ID, _FIRST_ID, follow_symlinks=False)
            ids = [(0, _FIRST_ID, _IDS)]
            config = to_oci(self.spec(*args), rootfs="rootfs", id="bench", maps=(ids, ids))
            kinds = config["linux"]["namespaces"]
            config["ociVersion"] = "1.0.2"  # these runtimes of Debian 12 know no later one
            config["linux"]["namespaces"] = [each for each in kinds if each["type"] != "time"]
            config["linux"].pop("timeOffsets", None)
            (directory / "config.json").write_text(json.dumps(config))
        return str(directory)

    def peers(self, *args: str) -> dict[str, list[str]]:
        """The commands of the peers that are installed."""
        all_of_them = {
            "bwrap": self.bwrap(*args),
            "crun": self.oci("crun", *args),
            "runc": self.oci("runc", *args),
        }
        return {name: argv for name, argv in all_of_them.items() if _found_or_none(name)}


def _found_or_none(name: str) -> str | None:
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(name, path=path)


def _found(name: str) -> str:
    path = _found_or_none(name)
    if path is None:
        raise SystemExit(f"error: {name} is not installed\nhint: see tests/system-packages.txt")
    return path
