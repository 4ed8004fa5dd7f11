"""The cache: the same filter again, and never one that is outdated, damaged or someone else's."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from isolate.linux import capabilities
from isolate.linux.seccomp import cache, sources
from isolate.linux.seccomp import compile as compiler
from isolate.linux.seccomp.policy import ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MASK = capabilities.DEFAULT
PROFILE = b"""{"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
 "syscalls": [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"}]}"""


class CompiledError(Exception):
    """The compiler was called."""


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise CompiledError

    monkeypatch.setattr(compiler, "compile_policy", refuse)


def only(directory: Path) -> Path:
    [path] = directory.iterdir()
    return path


def test_the_second_time_nothing_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.default(MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", None)
    second = cache.default(MASK, str(tmp_path))
    assert (second.program, second.flags, second.dropped) == (first.program, 0, ())


def test_a_custom_profile_with_its_flags_and_dropped_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.custom(PROFILE, MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", None)
    second = cache.custom(PROFILE, MASK, str(tmp_path))
    assert second.program == first.program
    assert second.flags == first.flags == 2
    assert second.dropped == first.dropped == ("no_such_call",)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_directory_each_filter_is_compiled() -> None:
    with pytest.raises(CompiledError):
        cache.default(MASK, None)


def test_other_parameters_are_other_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.default(MASK, str(tmp_path))
    cache.custom(PROFILE, MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    attempts: list[Callable[[], object]] = [
        lambda: cache.default(MASK | 1 << 21, str(tmp_path)),
        lambda: cache.default(MASK, str(tmp_path), allow_32bit=True),
        lambda: cache.custom(PROFILE, 0, str(tmp_path)),
        lambda: cache.custom(PROFILE + b" ", MASK, str(tmp_path)),
    ]
    for attempt in attempts:
        with pytest.raises(CompiledError):
            attempt()


def _raise_compiled(*_args: object) -> None:
    raise CompiledError


def test_another_kernel_is_another_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.default(MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    monkeypatch.setattr(cache, "_host", lambda: (os.uname().machine, "4.4.0-generic"))
    with pytest.raises(CompiledError):
        cache.default(MASK, str(tmp_path))


def test_a_changed_source_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.default(MASK, str(tmp_path))
    real = sources.identity

    def changed(path: str) -> str | None:
        return "1 2 3 4 5" if path.endswith("/default.py") else real(path)

    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    monkeypatch.setattr(sources, "identity", changed)
    with pytest.raises(CompiledError):
        cache.default(MASK, str(tmp_path))


def test_a_process_with_old_code_writes_its_old_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compiles from what it has read; who reads the file finds other sources, and refuses."""
    old = dict.fromkeys(sources._OWN, "1 2 3 4 5")
    monkeypatch.setattr(sources, "_OWN", old)
    cache.default(MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    with pytest.raises(CompiledError):
        cache.default(MASK, str(tmp_path))


def test_the_identity_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert sources.identity(str(path)) is None
    path.write_bytes(b"a")
    first = sources.identity(str(path))
    os.utime(path, ns=(1, 1))
    second = sources.identity(str(path))
    path.write_bytes(b"bc")
    assert len({first, second, sources.identity(str(path))}) == 3


@pytest.mark.parametrize("position", [0, 19, 23, 60, 300, -1, -9])
def test_a_damaged_file_is_compiled_anew(tmp_path: Path, position: int) -> None:
    good = cache.default(MASK, str(tmp_path)).program
    path = only(tmp_path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert cache._read(str(path), b"") is None
    assert cache.default(MASK, str(tmp_path)).program == good
    assert path.read_bytes() != data


@pytest.mark.parametrize("length", [0, 1, 40, 100, -1, -8])
def test_a_cut_file_is_compiled_anew(tmp_path: Path, length: int) -> None:
    good = cache.default(MASK, str(tmp_path)).program
    path = only(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert cache.default(MASK, str(tmp_path)).program == good
    assert len(path.read_bytes()) > 1000


def test_a_file_that_others_may_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.default(MASK, str(tmp_path))
    path = only(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        with pytest.raises(CompiledError):
            cache.default(MASK, str(tmp_path))


def test_a_file_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.default(MASK, str(tmp_path))
    monkeypatch.setattr(compiler, "compile_policy", _raise_compiled)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(CompiledError):
        cache.default(MASK, str(tmp_path))


def test_links_pipes_and_directories_are_not_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    good = cache.default(MASK, str(store)).program
    path = only(store)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache._read_own(str(path)) is None
    assert cache.default(MASK, str(store)).program == good
    assert not path.is_symlink()
    path.unlink()
    os.mkfifo(path)
    assert cache.default(MASK, str(store)).program == good
    assert path.is_file()
    path.unlink()
    path.mkdir()
    assert cache.default(MASK, str(store)).program == good
    assert list(store.iterdir()) == [path]


def test_a_directory_that_cant_be_written_costs_time_only(tmp_path: Path) -> None:
    assert cache.default(MASK, str(tmp_path / "missing")).program
    assert cache.default(MASK, "/proc/self/fd").program


def test_a_bad_profile_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProfileError):
        cache.custom(b"{}", MASK, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.18.44-fc-v669", (6, 18)), ("4.8-rc1", (4, 8)), ("5.10", (5, 10)), ("6.1+x", (6, 1))],
)
def test_kernel_version(release: str, version: tuple[int, int]) -> None:
    assert cache.kernel_version(release) == version


def test_a_warm_cache_imports_nothing_dear(tmp_path: Path) -> None:
    cache.default(MASK, str(tmp_path))
    cache.custom(PROFILE, MASK, str(tmp_path))
    script = f"""
import sys
before = set(sys.modules)
from isolate.linux.seccomp import cache, load
assert cache.default({MASK}, {str(tmp_path)!r}).program
assert cache.custom({PROFILE!r}, {MASK}, {str(tmp_path)!r}).program
print(*sorted(set(sys.modules) - before))
"""
    argv = [sys.executable, "-S", "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    loaded = set(done.stdout.split())
    dear = {"pyseccomp", "json", "hashlib", "re", "typing", "enum", "subprocess", "tempfile"}
    assert not loaded & dear
    ours = {name.rpartition(".")[2] for name in loaded if name.startswith("isolate.linux.seccomp.")}
    assert ours == {"cache", "load", "sources"}
