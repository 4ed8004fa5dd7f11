"""Configurations to try the probes on: sound, broken and lying ones. Each is run once a session,
with all probes, when a test first asks for it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from isolate import rootfs
from isolate.probe.discover import chosen, discover
from isolate.probe.model import Finding
from isolate.probe.session import Session
from isolate.probe.subject import Contained, Subject
from tests.support import mutations, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isolate.probe.model import Probe

Column = dict[str, Finding]

# By the backend, and what its spec says.
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "namespaces": ("namespaces", {}),
    "jail": ("jail", {}),
    "chroot": ("chroot", {}),
    "privileged": ("namespaces", {"privileges": {"privileged": True}, "isolate": []}),
    "host network": ("namespaces", {"network": {"mode": "host"}}),
    "host root": ("namespaces", {"root": {"source": "host"}}),
    "volume": ("namespaces", {"mounts": [{"source": "/var/tmp", "target": "/var/tmp"}]}),
    "new privileges": ("namespaces", {"privileges": {"no_new_privileges": False}}),
    "read-only": ("namespaces", {"root": {"readonly": True}}),
}
LIARS = ("liar-pids", "liar-network", "liar-proc")  # by their module in tests/contract
NAIVE, MEMINFO, GVISOR = "naive", "own meminfo", "gvisor"
WHOLE = ("namespaces", "jail", "chroot")  # of which tests look at every probe
_LIARS_HERE = Path(__file__).parents[1] / "contract" / "liars"


class Naive(Subject):
    """A runtime as one writes it in an afternoon: chroot(2) into the image itself and no chdir(2),
    with the host's proc, sys and dev, and mount points made by `mkdir -p` from outside; a launcher
    that dies without a thought of the program.

    Args:
        meminfo: what /proc/meminfo shows instead of the host's, as by LXCFS.
    """

    name = NAIVE

    def __init__(self, meminfo: str | None = None) -> None:
        self._root = rootfs.prepare("base")
        self._meminfo = meminfo

    def layers(self) -> tuple[str, ...]:
        return self._root.layers

    def python(self) -> list[str]:
        return [str(self._root.python), "-I", "-S"]

    def command(
        self, argv: Sequence[str], overlay: Mapping[str, Any], _name: str | None = None
    ) -> list[str]:
        place = session.directory() / "naive"
        place.mkdir(exist_ok=True)
        lines = ["set -e", f"mount -t tmpfs none {place}"]
        for entry in sorted(Path(self._root.layers[0]).iterdir()):
            inside = place / entry.name
            if entry.is_symlink():
                lines.append(f"ln -s {os.readlink(entry)} {inside}")
            elif entry.name not in _KERNELS:
                lines.append(f"mkdir {inside}; mount --bind {entry} {inside}")
        lines += [f"mkdir {place}/{one}; mount --rbind /{one} {place}/{one}" for one in _KERNELS]
        if self._meminfo is not None:
            Path(f"{place}.meminfo").write_text(self._meminfo)
            lines.append(f"mount --bind {place}.meminfo {place}/proc/meminfo")
        for row in overlay.get("mounts", ()):
            target = f"{place}{row['target']}"
            what = "-t tmpfs none" if row["type"] == "tmpfs" else f"--bind {row['source']}"
            lines.append(f"mkdir -p {target}; mount {what} {target}")
        enter = f"import os, sys; os.chroot({str(place)!r}); os.execv(sys.argv[1], sys.argv[1:])"
        script = "\n".join([*lines, f'exec {sys.executable} -I -S -c "{enter}" "$@"'])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *argv]

    def launcher(self, argv: Sequence[str], name: str) -> list[str]:
        return ["sh", "-c", '"$@"; true', "sh", *self.command(argv, {}, name)]


_KERNELS = ("proc", "sys", "dev")
_LIMIT = "MemTotal:          65536 kB\n"


class Gvisor(Subject):
    """A kernel of its own: runsc(1) on the host's files, below a layer in memory."""

    name = GVISOR

    def python(self) -> list[str]:
        return [os.path.realpath(sys.executable), "-I", "-S"]

    def command(
        self, argv: Sequence[str], _overlay: Mapping[str, Any], _name: str | None = None
    ) -> list[str]:
        return ["runsc", "--network=none", "--ignore-cgroups", "do", "-quiet", "--", *argv]


class Columns:
    """The columns of the matrix by the names of the configurations; each is run once."""

    def __init__(self) -> None:
        self.probes = {name: _testable(name, probe) for name, probe in _catalogue().items()}
        self._session = Session(self.probes)
        self._known: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._known:
            self._known[name] = self._lied(name) if name in LIARS else self._run(name)
        return self._known[name]

    def _run(self, name: str) -> Column:
        with _subject(name) as subject:
            return {row.probe: row for row in self._session_of(name).findings(subject)}

    def _session_of(self, name: str) -> Session:
        """All probes, or those that the configuration turns, with a control of their own."""
        if name in WHOLE:
            return self._session
        table = mutations.table()
        return Session({key: one for key, one in self.probes.items() if name in table[key]})

    def _lied(self, name: str) -> Column:
        """By the command line, for which the liars are installed; the groups that should tell."""
        rows: list[dict[str, Any]] = []
        table = mutations.table()
        for group in sorted({probe.partition(".")[0] for probe in table if name in table[probe]}):
            done = probe_command(name, "--json", f"--only={group}")
            assert done.returncode in (0, 1), done.stderr
            rows += json.loads(done.stdout)
        return {row["probe"]: Finding.build(row, name) for row in rows}


def probe_command(backend: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`isolate probe`, where the liars are installed."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "isolate", "probe", f"--backend={backend}", *options],
        env={**os.environ, "PYTHONPATH": f"{_liars()}:{_LIARS_HERE}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _catalogue() -> dict[str, type[Probe]]:
    return chosen(discover(_refuse), None)


def _refuse(warning: str) -> None:
    raise AssertionError(warning)


def _testable(name: str, probe: type[Probe]) -> type[Probe]:
    """The probe, on other files where this kernel lacks what it looks for."""
    row = mutations.table().get(name)
    if row is None or not row.wants or any(map(os.path.exists, row.wants)):
        return probe
    return type(probe.__name__, (probe,), dict(row.stand_in))


@contextlib.contextmanager
def _subject(name: str) -> Iterator[Subject]:
    if name not in SPECS:
        yield Gvisor() if name == GVISOR else Naive(_LIMIT if name == MEMINFO else None)
        return
    backend, document = SPECS[name]
    with TemporaryDirectory(dir=session.directory()) as state:
        subject = Contained(backend, document, state)
        try:
            yield subject
        finally:
            subject.close()


def _liars() -> Path:
    """A directory in which the liars of the contract are a distribution."""
    directory = session.directory() / "probe-liars"
    metadata = directory / "isolate_liars-1.dist-info"
    if not metadata.exists():
        metadata.mkdir(parents=True)
        points = "".join(f"{name} = isolate_liars\n" for name in _all_liars())
        (metadata / "entry_points.txt").write_text(f"[isolate_runtime]\n{points}")
    return directory


def _all_liars() -> list[str]:
    """The names that their module registers: a plugin registers none but those of its points."""
    sys.path.insert(0, str(_LIARS_HERE))
    try:
        module = importlib.import_module("isolate_liars")
    finally:
        sys.path.remove(str(_LIARS_HERE))
    return [*module.LIARS, *module.FOR_PROBES]
