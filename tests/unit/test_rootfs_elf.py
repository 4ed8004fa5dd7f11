"""The ELF reader agrees with binutils' answer for real programs, and survives broken ones."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isolate.rootfs import elf
from isolate.rootfs.libraries import Libraries, MissingLibraryError

if TYPE_CHECKING:
    from pathlib import Path

SHELL = os.path.realpath("/bin/sh")


def mapped_libraries() -> set[str]:
    """The libraries that this very process has loaded, by the kernel's word."""
    with open("/proc/self/maps") as lines:
        paths = {line.split()[-1] for line in lines if ".so" in line}
    return {os.path.realpath(path) for path in paths}


def test_the_libraries_of_this_interpreter_are_those_that_it_has_loaded() -> None:
    libraries = Libraries((f"{sys.base_prefix}/lib",))
    program = libraries.add(os.path.realpath("/proc/self/exe"))
    assert program.interpreter
    assert set(libraries.found.values()) <= mapped_libraries()
    assert any(name.startswith("libc.") for name in libraries.found)


def test_a_text_is_no_elf_file() -> None:
    with pytest.raises(elf.NotElfError):
        elf.read(__file__)


def test_a_library_that_is_nowhere_is_named_and_nothing_added(tmp_path: Path) -> None:
    with open(SHELL, "rb") as file:
        content = file.read()
    broken = tmp_path / "sh"
    broken.write_bytes(content.replace(b"libc.so.6\0", b"libq.so.6\0"))
    libraries = Libraries()
    with pytest.raises(MissingLibraryError, match=r"libq\.so\.6"):
        libraries.add(str(broken))
    assert libraries.found == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(4, 2000), st.binary(min_size=1, max_size=8))),
    length=st.integers(0, 4000),
)
def test_broken_files_are_refused_and_nothing_worse(
    tmp_path: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    with open(SHELL, "rb") as file:
        content = bytearray(file.read(4000))
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / "broken"
    path.write_bytes(content[:length])
    with contextlib.suppress(elf.NotElfError):
        elf.read(str(path))
