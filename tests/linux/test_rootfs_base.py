"""`base`: whole, plain, built once, and never half there."""

from __future__ import annotations

import marshal
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.errors import RootfsError
from isolate.rootfs import base, base_build, base_files, base_plan, base_python, prepare
from isolate.rootfs.gc import gc
from tests.support import installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.rootfs.root import Root
    from tests.support.accounts import Account

# A base of the shell and a few programs is built in a tenth of the time.
SMALL = """
import os, signal, sys
from isolate.rootfs import base_build, base_files, base_python, cache, prepare
base_files.PROGRAMS = ["ls", "cat"]
base_python.find = lambda: None
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    monkeypatch.setattr(base_files, "PROGRAMS", ["ls", "cat"])
    monkeypatch.setattr(base_python, "find", lambda: None)


@pytest.fixture(scope="module")
def whole() -> Root:
    """The real one, in the session's cache."""
    return prepare("base")


def test_the_time_and_size_of_a_build(
    own_cache: Path, record_property: Callable[[str, object], None]
) -> None:
    """Reported, not asserted."""
    begun = time.perf_counter()
    root = prepare("base")
    record_property("base_build_seconds", time.perf_counter() - begun)
    begun = time.perf_counter()
    prepare("base")
    record_property("base_warm_seconds", time.perf_counter() - begun)
    sizes = [path.lstat().st_size for path in Path(root.layers[0]).rglob("*")]
    record_property("base_bytes", sum(sizes))
    assert own_cache in Path(root.layers[0]).parents


def test_what_it_says_of_itself(whole: Root) -> None:
    assert (whole.source, whole.kind, whole.cached) == ("base", "layers", True)
    assert whole.python is not None
    assert os.path.realpath(whole.layers[0] + whole.python).startswith(whole.layers[0])


def test_it_has_what_a_container_expects(whole: Root) -> None:
    top = Path(whole.layers[0])
    for name in ("bin", "sbin", "lib", "lib64"):
        assert os.readlink(top / name) == f"usr/{name}"
    for name in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "root", "home", "mnt", "etc"):
        assert (top / name).is_dir()
    for name in ("tmp", "var/tmp"):
        assert stat.S_IMODE((top / name).stat().st_mode) == 0o1777
    for name in ("proc", "sys", "dev", "run"):
        assert os.listdir(top / name) == []
    assert (top / "etc/resolv.conf").read_bytes() == b""
    assert "ID=" in (top / "etc/os-release").read_text()
    assert "root:x:0:0:" in (top / "etc/passwd").read_text()
    for name in ("sh", "ls", "cat", "grep", "sed", "awk", "tar", "mount", "setsid", "env"):
        assert (top / "usr/bin" / name).resolve().is_relative_to(top)


def test_it_is_plain(whole: Root) -> None:
    """No set-id bits, no devices, no links out, nothing shared with the host, all the caller's."""
    top = Path(whole.layers[0])
    for path in top.rglob("*"):
        found = path.lstat()
        mode = found.st_mode
        assert found.st_uid == os.geteuid(), path
        assert not mode & (stat.S_ISUID | stat.S_ISGID), path
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path
        if stat.S_ISLNK(mode):
            assert not os.readlink(path).startswith("/"), path
            assert Path(os.path.normpath(path.parent / os.readlink(path))).is_relative_to(top)
        if stat.S_ISREG(mode):
            assert stat.S_IMODE(mode) in (0o644, 0o755), path
            assert found.st_nlink == 1, path
            assert os.listxattr(path) == [], path
    assert stat.S_IMODE(top.stat().st_mode) == stat.S_IMODE(top.parent.stat().st_mode) == 0o755


def test_bytecode_is_valid_where_it_lies(whole: Root) -> None:
    """Its header holds the time and size of its source, so times are kept."""
    library = next(Path(whole.layers[0]).glob("usr/**/os.py")).parent
    compiled = sorted(library.glob("__pycache__/*.pyc"))
    for path in compiled[:50]:
        header = path.read_bytes()[:16]
        source = (library / f"{path.name.split('.')[0]}.py").stat()
        if not int.from_bytes(header[4:8], "little"):
            assert int.from_bytes(header[8:12], "little") == int(source.st_mtime)
            assert int.from_bytes(header[12:], "little") == source.st_size


@pytest.mark.usefixtures("_small")
class TestSmall:
    def test_it_is_built_once(self) -> None:
        first = prepare("base").layers[0]
        known = os.stat(first)
        assert prepare("base").layers == (first,)
        assert os.path.samestat(os.stat(first), known)

    def test_without_python_it_names_none(self) -> None:
        assert prepare("base").python is None

    @pytest.mark.parametrize(
        "index", [b"", b"\xff", marshal.dumps(7), marshal.dumps((base.FORMAT, "nokey", None, []))]
    )
    def test_a_broken_index_is_made_anew(self, own_cache: Path, index: bytes) -> None:
        first = prepare("base").layers
        Path(base.index_path(str(own_cache))).write_bytes(index)
        assert prepare("base").layers == first

    def test_a_changed_program_makes_another_base(
        self, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "ls").write_text("#!/bin/sh\necho one\n")
        (programs / "ls").chmod(0o4755)
        (programs / "cat").symlink_to("ls")
        directories = (str(programs), *base_files.PROGRAM_DIRECTORIES)
        monkeypatch.setattr(base_files, "PROGRAM_DIRECTORIES", directories)
        first = prepare("base").layers[0]
        new = programs / "new"
        new.write_text("#!/bin/sh\necho two\n")
        new.chmod(0o755)
        new.rename(programs / "ls")  # as a package manager does
        second = prepare("base").layers[0]
        assert first != second
        assert any("echo two" in path.read_text() for path in Path(second).rglob("bin/ls"))
        assert [os.path.relpath(path, own_cache) for path in gc()] == [
            os.path.relpath(os.path.dirname(first), own_cache)
        ]
        assert os.path.isdir(second)

    def test_a_program_whose_libraries_are_missing_is_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        programs = tmp_path / "bin"
        programs.mkdir()
        content = Path("/bin/sh").read_bytes().replace(b"libc.so.6\0", b"libq.so.6\0")
        (programs / "ls").write_bytes(content)
        (programs / "ls").chmod(0o755)
        directories = (str(programs), *base_files.PROGRAM_DIRECTORIES)
        monkeypatch.setattr(base_files, "PROGRAM_DIRECTORIES", directories)
        assert not list(Path(prepare("base").layers[0]).rglob("ls"))

    def test_a_host_without_a_shell_is_a_clear_error(
        self, own_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base_files, "PROGRAM_DIRECTORIES", ("/nowhere",))
        with pytest.raises(RootfsError, match="no /bin/sh") as caught:
            prepare("base")
        assert "dir:PATH" in (caught.value.hint or "")
        assert os.listdir(own_cache / "partial") == []

    def test_programs_that_keep_changing_are_a_clear_error(
        self, own_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base_build, "_identities", lambda _plan: object())
        with pytest.raises(RootfsError, match="keep changing"):
            prepare("base")
        assert os.listdir(own_cache / "partial") == os.listdir(own_cache / "base") == []

    def test_a_full_disk_is_a_clear_error(
        self, own_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_args: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(base_build, "_write_all", full)
        with pytest.raises(RootfsError, match="No space left"):
            prepare("base")
        assert os.listdir(own_cache / "partial") == os.listdir(own_cache / "base") == []


def start(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_several_at_once_build_one(own_cache: Path) -> None:
    """The real one: its build is long enough for all to be in it at the same time."""
    script = """if True:
        from isolate.rootfs import base_build, prepare
        built = []
        real = base_build._build
        base_build._build = lambda *args: built.append("built") or real(*args)
        print(*prepare("base").layers, *built)
    """
    builders = [start(script) for _ in range(4)]
    answers = [builder.communicate()[0].split() for builder in builders]
    assert [builder.returncode for builder in builders] == [0] * 4
    assert len({answer[0] for answer in answers}) == 1
    assert sum(answer[1:].count("built") for answer in answers) == 1
    assert os.listdir(own_cache / "partial") == []
    names = os.listdir(own_cache / "base")
    assert len([name for name in names if not name.endswith(".index")]) == 1


KILLED_AT = {
    "the plan": "base_build.base_plan.make",
    "the copying": "base_build._copy_file",
    "a link": "os.symlink",
    "publishing": "cache.Partial.publish",
    "the rename": "os.rename",
    "the index": "cache.write_atomically",
    "the rename of the index": "cache.os.rename",
}


@pytest.mark.parametrize("place", KILLED_AT)
def test_a_build_that_is_killed_leaves_nothing_that_matters(own_cache: Path, place: str) -> None:
    name = KILLED_AT[place]
    calls = 2 if place == "the rename of the index" else 1
    owner, _, attribute = name.rpartition(".")
    script = f"""{SMALL}
real, calls = {name}, 0
def killed(*args, **options):
    global calls
    calls += 1
    if calls == {calls}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)
{owner}.{attribute} = killed
prepare("base")
"""
    with start(script) as killed:
        assert killed.wait() == -signal.SIGKILL
    bases = [path for path in own_cache.glob("base/*") if path.is_dir()]
    for path in bases:  # what can be seen is whole
        assert (path / "root/bin/sh").exists()
    with start(f"{SMALL}\nprint(*prepare('base').layers)") as again:
        layer = again.communicate()[0].strip()
    assert (Path(layer) / "usr/bin/ls").is_file()
    assert os.listdir(own_cache / "partial") == []
    gc()
    assert len(os.listdir(own_cache / "base")) == 2  # the base and its index


@pytest.mark.needs("ordinary_user")
def test_an_ordinary_user_gets_one_of_their_own(plain_user: Account) -> None:
    """Below their home, from the Python that they run, and an archive without its owners."""
    installed = installation.for_anyone()
    script = """if True:
        import io, os, tarfile
        from isolate.rootfs import prepare
        root = prepare("base")
        assert root.layers[0].startswith(os.path.expanduser("~/.cache/isolate/base/")), root
        assert os.stat(os.path.expanduser("~/.cache/isolate")).st_mode & 0o777 == 0o700
        assert os.stat(root.layers[0] + "/bin/sh").st_uid == os.geteuid()
        assert prepare("base").layers == root.layers
        with tarfile.open("a.tar", "w") as tar:
            info = tarfile.TarInfo("d")
            info.type, info.mode, info.uid = tarfile.DIRTYPE, 0o500, 0
            tar.addfile(info)
            info = tarfile.TarInfo("d/f")
            info.mode, info.uid, info.gid = 0o6755, 0, 0
            tar.addfile(info)
        found = os.stat(prepare("./a.tar").layers[0] + "/d/f")
        assert (found.st_uid, found.st_mode & 0o7777) == (os.geteuid(), 0o755), found
        from isolate.rootfs.gc import prune
        assert len(prune()) == 4  # the layers, one of which is shut, and their indexes
    """
    path = {"PYTHONPATH": installed.path} if installed.path else {}
    done = plain_user.run(installed.python, "-B", "-c", script, env=path)
    assert (done.returncode, done.stderr) == (0, "")


def test_everything_planned_exists_on_the_host() -> None:
    plan = base_plan.make()
    assert [path for path in plan.files.values() if not os.path.isfile(path)] == []
    assert [place for place in plan.files if place != os.path.normpath(f"/{place}")[1:]] == []
