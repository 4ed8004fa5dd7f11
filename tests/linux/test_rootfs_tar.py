"""Archives as roots: what they become, and what every hostile one is refused for."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isolate.errors import ArchiveError, RootfsError
from isolate.linux import resolve
from isolate.rootfs import cache, prepare, tar
from isolate.rootfs.archive import Limits
from tests.support import archives
from tests.support.archives import device, directory, entry, file, hard_link, symlink

CANARY = "nobody may write here"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    made = tmp_path / "outside"
    made.mkdir()
    (made / "canary").write_text(CANARY)
    return made


def untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["canary"] and (outside / "canary").read_text() == CANARY


def unpacked(tmp_path: Path, *entries: tuple[tarfile.TarInfo, bytes], how: str = "") -> Path:
    path = archives.write(tmp_path / "archive", *entries, compression=how)
    return Path(prepare(path).layers[0])


def assert_refused(
    tmp_path: Path, content: bytes, message: str, limits: Limits | None = None
) -> None:
    """The archive is refused with this message, and nothing of it stays in the cache."""
    path = tmp_path / "archive"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        tar.prepare(str(path), limits)
    left = tmp_path / "cache"
    assert os.listdir(left / "tar") == os.listdir(left / "partial") == []


@pytest.mark.parametrize("how", archives.COMPRESSIONS)
def test_an_archive_becomes_files(tmp_path: Path, how: str) -> None:
    root = unpacked(
        tmp_path,
        directory("./", 0o700),
        directory("./etc"),
        file("./etc/motd", b"hello\n" * 100_000, mtime=1_000_000_000.5, mode=0o640),
        file("./deep/without/directories", b""),
        symlink("./etc/link", "../../../etc/motd"),
        symlink("./absolute", "/etc/motd"),
        hard_link("./etc/again", "./etc/motd"),
        (entry("./pipe", tarfile.FIFOTYPE), b""),
        how=how,
    )
    motd = root / "etc/motd"
    assert motd.read_bytes() == b"hello\n" * 100_000
    assert motd.stat().st_mtime_ns == 1_000_000_000_500_000_000
    assert stat.S_IMODE(motd.stat().st_mode) == 0o640
    assert (root / "etc/again").samefile(motd)
    assert os.readlink(root / "etc/link") == "../../../etc/motd"
    assert os.readlink(root / "absolute") == "/etc/motd"
    assert (root / "deep/without/directories").stat().st_size == 0
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert stat.S_IMODE(root.stat().st_mode) == 0o755  # or nobody could pass


def test_a_read_only_directory_can_be_filled(tmp_path: Path) -> None:
    root = unpacked(tmp_path, directory("d", 0o555), file("d/f", b"x"), directory("d/e", 0o500))
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o555
    assert (root / "d/f").read_bytes() == b"x"


def test_it_is_unpacked_once(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar", file("f", b"x"))
    first = prepare(f"tar:{path}").layers[0]
    known = os.stat(first)
    assert prepare(f"tar:{path}").layers == (first,)
    os.utime(path, (1, 1))  # another identity, the same content
    assert prepare(path).layers == (first,)
    assert os.path.samestat(os.stat(first), known)


def test_a_changed_file_is_another_root(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    for content in (b"one", b"two", b"six"):  # the same size, in quick succession
        root = prepare(archives.write(path, file("f", content))).layers[0]
        assert (Path(root) / "f").read_bytes() == content


@pytest.mark.parametrize(
    ("options", "length"),
    [
        (["--format=gnu", "--sparse"], 200),
        (["--format=posix", "--sparse"], 200),
        (["--format=posix", "--sparse", "--sparse-version=0.0"], 200),
        (["--format=posix", "--sparse", "--sparse-version=0.1"], 200),
        (["--format=ustar"], 90),
        (["--format=v7"], 40),
    ],
)
def test_the_formats_of_a_real_tar_are_read(
    tmp_path: Path, options: list[str], length: int
) -> None:
    source = tmp_path / "source"
    (source / "a/b" / ("n" * length)).mkdir(parents=True)
    (source / "a/text").write_bytes(os.urandom(70_000))
    (source / "a/b/link").symlink_to("../text")
    os.link(source / "a/text", source / "a/b/hard")
    with (source / "holes").open("wb") as sparse:
        for place in range(0, 50 << 20, 5 << 20):  # more pieces than a header of GNU tar holds
            sparse.seek(place)
            sparse.write(b"piece")
        sparse.truncate(60 << 20)
    path = str(tmp_path / "made.tar")
    subprocess.run(["tar", *options, "-C", str(source), "-cf", path, "."], check=True)
    root = prepare(path).layers[0]
    subprocess.run(["diff", "-r", "--no-dereference", str(source), root], check=True)
    assert os.path.samefile(f"{root}/a/text", f"{root}/a/b/hard")
    if "--sparse" in options:
        assert os.stat(f"{root}/holes").st_blocks * 512 < 1 << 20


HOSTILE = {
    "absolute": ([file("/etc/passwd")], "'/etc/passwd'.* absolute"),
    "upwards": ([file("../outside/x")], r"leads upwards"),
    "upwards in the middle": ([file("a/../../outside/x")], r"leads upwards"),
    "upwards, harmless": ([directory("a"), file("a/../b")], r"leads upwards"),
    "upwards alone": ([directory("..")], r"leads upwards"),
    "hard link out": ([hard_link("x", "../outside/canary")], "'x'.*upwards"),
    "hard link to an absolute path": ([hard_link("x", "/etc/passwd")], "'x'.*absolute"),
    "hard link to what is missing": ([hard_link("x", "y")], "'x'.*'y', which is missing"),
    "hard link below what is missing": ([hard_link("x", "y/z")], "'x'.*'y/z', which is missing"),
    "hard link to itself": ([file("x"), hard_link("x", "./x")], "'x'.*itself"),
    "hard link to a directory": ([directory("d"), hard_link("x", "d")], "'x'.*directory"),
    "hard link to nothing": ([hard_link("x", "")], "'x'.*empty"),
    "device": ([device("dev/mem")], "'dev/mem'.*device node"),
    "block device": ([device("dev/sda", tarfile.BLKTYPE)], "'dev/sda'.*device node"),
    "disk called null": ([device("dev/null", tarfile.BLKTYPE)], "'dev/null'.*device node"),
    "null elsewhere": ([device("home/null")], "'home/null'.*device node"),
    "long name": ([file("d/" * 2500)], "more than 4096 bytes"),
    "long component": ([file("d/" + "n" * 256)], "more than 255 bytes"),
    "deep": ([file("d/" * 300 + "f")], "256 directories deep"),
    "root as a link": ([symlink(".", "/etc")], "root itself"),
    "root as a file": ([file("./")], "root itself"),
    "link to nothing": ([symlink("x", "")], "'x'.*target is empty"),
    "link that is too long": ([symlink("x", "t" * 4096)], "'x'.*too long"),
    "file in place of a full directory": ([file("d/f"), file("d")], "'d'.*isn't empty"),
    "link in place of a full directory": ([file("d/f"), symlink("d", "/")], "'d'.*isn't empty"),
    "file as a directory": ([file("d"), file("d/f")], "'d/f'.*Not a directory"),
    "loop of links": ([symlink("a", "b"), symlink("b", "a"), file("a/f")], "'a/f'.*symbolic"),
    "unknown type": ([(entry("x", b"Z"), b"")], "'x'.*not known"),
    "contiguous nonsense": ([(entry("x", b"M"), b"")], "'x'.*not known"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_naming_the_entry(
    tmp_path: Path, outside: Path, name: str
) -> None:
    entries, message = HOSTILE[name]
    assert_refused(tmp_path, archives.packed(file("before", b"x"), *entries), message)
    assert untouched(outside)


@pytest.mark.parametrize("target", ["../../../../outside", "{}", "/proc/self/cwd/outside"])
@pytest.mark.parametrize("name", ["link/x", "link/canary", "link/d/e"])
def test_no_file_goes_out_through_a_link(
    tmp_path: Path, outside: Path, target: str, name: str
) -> None:
    """It lands where the link leads inside the root, as it would for a program in there."""
    target = target.format(outside)
    root = unpacked(tmp_path, symlink("link", target), file(name, b"hostile"), directory("link/y"))
    assert untouched(outside)
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.read_bytes() for path in found] == [b"hostile"]


def test_a_file_through_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    content = archives.packed(symlink("link", "/missing/../outside"), file("link/x"))
    assert_refused(tmp_path, content, "'link/x'")


def test_without_openat2_a_file_through_a_link_is_refused(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_args: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(resolve, "_openat2", missing)
    content = archives.packed(symlink("link", str(outside)), file("link/x"))
    assert_refused(tmp_path, content, "'link/x'")
    assert untouched(outside)
    assert (unpacked(tmp_path, file("a/b/c", b"x")) / "a/b/c").read_bytes() == b"x"


def test_a_hard_link_through_a_link_stays_inside(tmp_path: Path, outside: Path) -> None:
    content = archives.packed(symlink("link", str(outside)), hard_link("x", "link/canary"))
    assert_refused(tmp_path, content, "which is missing")
    assert untouched(outside)


def test_an_entry_that_comes_again_replaces_the_first(tmp_path: Path, outside: Path) -> None:
    root = unpacked(
        tmp_path,
        file("f", b"first"),
        hard_link("kept", "f"),
        file("f", b"second"),
        directory("d"),
        symlink("d", str(outside)),  # an empty directory gives way
        directory("e"),
        symlink("l", str(outside)),
        directory("l", 0o711),  # and so does a link
        file("l/x", b"inside"),
        hard_link("linked", "d"),  # of the link, and not of what it leads to
        symlink("w", str(outside / "canary")),
        file("w", b"not through the link"),
    )
    assert (root / "f").read_bytes() == b"second"
    assert os.readlink(root / "linked") == str(outside)
    assert (root / "kept").read_bytes() == b"first"
    assert os.readlink(root / "d") == str(outside)
    assert (root / "l/x").read_bytes() == b"inside"
    assert stat.S_IMODE((root / "l").lstat().st_mode) == 0o711
    assert (root / "w").read_bytes() == b"not through the link"
    assert untouched(outside)


def test_the_devices_that_every_dev_has_are_left_out(tmp_path: Path) -> None:
    root = unpacked(tmp_path, device("./dev/null"), device("dev/tty"), file("f"))
    assert not list(root.rglob("null"))
    assert not list(root.rglob("tty"))


def test_attributes_that_would_steer_an_overlay_are_left_out(tmp_path: Path) -> None:
    wanted = {
        "user.note": "kept",
        "user.overlay.opaque": "y",
        "user.overlay.redirect": "/etc",
        "trusted.overlay.opaque": "y",
        "security.selinux": "x",
    }
    headers = {f"SCHILY.xattr.{key}": value for key, value in wanted.items()}
    root = unpacked(tmp_path, file("f", b"x", pax_headers=headers))
    assert [name for name in os.listxattr(root / "f") if name != "security.selinux"] == [
        "user.note"
    ]
    assert os.getxattr(root / "f", "user.note") == b"kept"


@pytest.mark.parametrize("mtime", [-5, 1e300, float("inf"), float("nan"), 2**40])
def test_a_time_that_is_none_becomes_1970(tmp_path: Path, mtime: float) -> None:
    info, content = file("f", b"x")
    info.pax_headers = {"mtime": str(mtime)}
    assert (unpacked(tmp_path, (info, content)) / "f").stat().st_mtime == 0


MEBI = 1 << 20


@pytest.mark.parametrize("how", ["gz", "bz2", "xz", "zst"])
def test_a_bomb_is_refused(tmp_path: Path, how: str) -> None:
    content = archives.packed(file("bomb", bytes(80 * MEBI)), compression=how)
    assert_refused(tmp_path, content, "more than 200 times its size")


def test_a_bomb_of_holes_is_refused(tmp_path: Path) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes"}
    headers["GNU.sparse.realsize"] = str(1 << 40)
    sparse = file("GNUSparseFile.0/holes", b"1\n0\n0\n".ljust(512, b"\0"), pax_headers=headers)
    assert_refused(tmp_path, archives.packed(sparse), "'holes'.*more than")


@pytest.mark.parametrize("place", [-1, 1 << 62, 100])
def test_a_wrong_map_of_holes_is_refused(tmp_path: Path, place: int) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes"}
    headers["GNU.sparse.realsize"] = "50"
    content = f"2\n{place}\n10\n0\n10\n".encode().ljust(512, b"\0") + bytes(512)
    sparse = file("GNUSparseFile.0/holes", content, pax_headers=headers)
    assert_refused(tmp_path, archives.packed(sparse), "'holes'.*map of holes|damaged|header")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(total=5 * MEBI), "more than 5242880 bytes"),
        (Limits(entries=2), "'three'.*more than 2 entries"),
        (Limits(depth=1), "'d/four'.*1 directories deep"),
    ],
)
def test_limits_hold(tmp_path: Path, limits: Limits, message: str) -> None:
    entries = [file("one", bytes(3 * MEBI)), file("two", b"x" * 3 * MEBI)]
    if limits.depth == 1:
        entries = []
    content = archives.packed(*entries, file("three"), file("d/four"))
    assert_refused(tmp_path, content, message, limits)


def test_a_claimed_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = entry("huge", tarfile.REGTYPE, size=1 << 50)
    content = info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    assert_refused(tmp_path, content, "'huge'.*more than")


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    """tarfile would read the same header for ever."""
    block = bytearray(entry("x", tarfile.REGTYPE).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    content = archives.packed(file("before", bytes(512)))[:1024] + bytes(block) + bytes(1024)
    assert_refused(tmp_path, content, "'x'.*size is negative")


def test_a_huge_header_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.user.big": "x" * 300_000}
    content = archives.packed(file("f", b"x", pax_headers=headers))
    assert_refused(tmp_path, content, "header has more than")


def test_a_chain_of_headers_is_refused(tmp_path: Path) -> None:
    header = entry("x", tarfile.XHDTYPE, size=0).tobuf(tarfile.USTAR_FORMAT)
    assert_refused(tmp_path, header * 5000 + bytes(1024), "header has more than|damaged")


@pytest.mark.parametrize("field", ["path", "linkpath", "SCHILY.xattr.user.a\0b"])
def test_nul_bytes_are_refused(tmp_path: Path, field: str) -> None:
    info, _ = symlink("x", "y")
    info.pax_headers = {field: "a\0b"}
    if field.startswith("SCHILY"):
        info.type = tarfile.REGTYPE
    assert_refused(tmp_path, archives.packed((info, b"")), "NUL|null|damaged")


@pytest.mark.parametrize("how", archives.COMPRESSIONS)
@pytest.mark.parametrize("kept", [0, 0.3, 0.5, 0.9])
def test_a_cut_archive_is_refused(tmp_path: Path, how: str, kept: float) -> None:
    whole = archives.packed(
        file("a", os.urandom(20_000)), file("b", os.urandom(20_000)), compression=how
    )
    size = int(len(whole) * kept) if how else int(40_000 * kept)
    assert_refused(tmp_path, whole[:size], "damaged|content|empty")


def test_an_archive_that_ends_between_entries_is_refused(tmp_path: Path) -> None:
    content = archives.packed(file("a", bytes(512)), file("b"))
    assert_refused(tmp_path, content[:1024], "end-of-archive")


def test_a_damaged_header_is_no_end(tmp_path: Path) -> None:
    content = bytearray(archives.packed(file("a", bytes(512)), file("b")))
    content[1024 + 150] ^= 0x55
    assert_refused(tmp_path, bytes(content), "end-of-archive|damaged")


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_a_wrong_checksum_is_refused(tmp_path: Path, how: str) -> None:
    content = bytearray(archives.packed(file("a", os.urandom(50_000)), compression=how))
    content[len(content) // 2] ^= 0xFF
    assert_refused(tmp_path, bytes(content), "damaged|content")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n" * 100, bytes(100), b"\x1f\x8b", b"BZh"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    assert_refused(tmp_path, content, "damaged")


@pytest.mark.parametrize("how", ["gz", "bz2", "xz", "zst"])
def test_the_checksum_behind_the_last_entry_is_verified(tmp_path: Path, how: str) -> None:
    content = bytearray(archives.packed(file("a", b"x"), compression=how))
    if how == "zst":  # the library adds none of its own accord
        content = content[:-3]
    else:
        content[-6] ^= 0xFF
    assert_refused(tmp_path, bytes(content), "damaged")


def test_a_bomb_behind_the_last_entry_is_refused(tmp_path: Path) -> None:
    content = archives.packed(file("a", b"x")) + bytes(80 * MEBI)
    assert_refused(tmp_path, archives.COMPRESSIONS["gz"](content), "more than 200 times")


def test_two_gzip_members_are_one_archive(tmp_path: Path) -> None:
    content = archives.packed(file("a", os.urandom(5000)))
    compress = archives.COMPRESSIONS["gz"]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(compress(content[:3000]) + compress(content[3000:]) + bytes(700))
    assert (Path(prepare(str(path)).layers[0]) / "a").stat().st_size == 5000


def test_a_full_disk_is_a_clear_error(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> int:
        raise OSError(28, "No space left on device")

    path = archives.write(tmp_path / "a.tar", file("f", b"x"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(RootfsError, match="No space left") as caught:
            prepare(path)
    assert "ISOLATE_CACHE" in (caught.value.hint or "")
    assert os.listdir(own_cache / "partial") == []
    assert os.listdir(prepare(path).layers[0]) == ["f"]


def test_leftovers_of_an_archive_that_nobody_can_read_are_removed(own_cache: Path) -> None:
    """As the next one does after a SIGKILL in the middle."""
    cache.directory()
    left = own_cache / "partial/0123456789abcdef"
    (left / "root/d/e").mkdir(parents=True)
    (left / "root/d/e/f").touch()
    (left / "root/d").chmod(0)
    with cache.Partial(str(own_cache)):
        assert not left.exists()


PARTS = st.sampled_from(["a", "b", "l", "..", ".", "", "outside", "canary", "n" * 300, "ü\udcff"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TARGETS = st.one_of(NAMES, st.sampled_from(["/", "../../../outside", "OUTSIDE", "OUTSIDE/canary"]))
ENTRIES = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(
            [
                tarfile.REGTYPE,
                tarfile.REGTYPE,
                tarfile.DIRTYPE,
                tarfile.SYMTYPE,
                tarfile.SYMTYPE,
                tarfile.LNKTYPE,
                tarfile.FIFOTYPE,
                tarfile.CHRTYPE,
            ]
        ),
        TARGETS,
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES)
def test_no_archive_writes_outside(
    tmp_path: Path, outside: Path, rows: list[tuple[str, bytes, str]]
) -> None:
    members = []
    for name, kind, target in rows:
        link = target.replace("OUTSIDE", str(outside)) if kind in b"12" else ""
        size = 3 if kind == tarfile.REGTYPE else 0
        members.append((entry(name, kind, linkname=link, size=size, mode=0o755), b"new"[:size]))
    path = archives.write(tmp_path / "fuzz.tar", *members)
    with contextlib.suppress(ArchiveError):
        prepare(path)
    assert untouched(outside)
    assert sorted(os.listdir(tmp_path)) == ["cache", "fuzz.tar", "outside"]
    assert os.listdir(tmp_path / "cache/partial") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=12)), max_size=6))
def test_no_damage_makes_more_than_an_error(
    tmp_path: Path, outside: Path, changes: list[tuple[int, bytes]]
) -> None:
    content = bytearray(
        archives.packed(
            file("f" * 120, b"content", pax_headers={"SCHILY.xattr.user.a": "b"}),
            directory("d"),
            symlink("l", "d"),
            hard_link("h", "f" * 120),
        )
    )
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / "fuzz.tar"
    path.write_bytes(content)
    with contextlib.suppress(ArchiveError):
        prepare(str(path))
    assert untouched(outside)
