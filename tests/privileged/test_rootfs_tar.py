"""Archives unpacked by root: owners, set-id bits, capabilities, devices."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from isolate.errors import ArchiveError
from isolate.rootfs import prepare, tar
from tests.support import archives
from tests.support.archives import device, directory, entry, file, symlink

pytestmark = pytest.mark.needs("root")

CAPABILITY = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14  # cap_net_raw=ep, as ping has it


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOLATE_CACHE", str(tmp_path / "cache"))


def unpacked(tmp_path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    return Path(prepare(archives.write(tmp_path / "a.tar", *entries)).layers[0])


def test_owners_are_kept_by_number(tmp_path: Path) -> None:
    directory_info, _ = directory("d", 0o750)
    directory_info.uid, directory_info.gid = 7, 8
    link, _ = symlink("l", "/etc/passwd")
    link.uid, link.gid = 5, 6
    names = {"uname": "root", "gname": "root"}
    inner = file("d/f", b"x", uid=3_000_000_000, gid=4, **names)
    root = unpacked(tmp_path, (directory_info, b""), inner, (link, b""))
    for name, owner in {"d": (7, 8), "d/f": (3_000_000_000, 4), "l": (5, 6)}.items():
        found = (root / name).lstat()
        assert (found.st_uid, found.st_gid) == owner
    passwd = os.stat("/etc/passwd")
    assert (passwd.st_uid, passwd.st_gid) == (0, 0)


@pytest.mark.parametrize("uid", [-1, 2**32 - 1, 2**32, 2**62])
def test_an_owner_that_is_none_is_refused(tmp_path: Path, uid: int) -> None:
    info, content = file("f")
    info.pax_headers = {"uid": str(uid)}
    with pytest.raises(ArchiveError, match="no user id"):
        unpacked(tmp_path, (info, content))


def test_plain_layers_can_be_passed_by_mapped_ids(tmp_path: Path) -> None:
    root = unpacked(tmp_path, file("f", b"x", mode=0o755))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root, root.parent)] == [0o755, 0o755]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711])
def test_set_id_programs_are_kept_where_only_root_gets_at_them(tmp_path: Path, mode: int) -> None:
    """Else every user of the host could run a stranger's set-uid program from the cache."""
    root = unpacked(tmp_path, file("su", b"x", mode=mode))
    assert stat.S_IMODE((root / "su").stat().st_mode) == mode
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


def test_capabilities_are_kept_where_only_root_gets_at_them(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.security.capability": CAPABILITY}
    root = unpacked(tmp_path, file("ping", b"x", mode=0o755, pax_headers=headers))
    assert os.getxattr(root / "ping", "security.capability") == CAPABILITY.encode()
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


def test_devices_are_made_only_when_allowed(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar", device("dev/mem"), device("null"))
    with pytest.raises(ArchiveError, match="device node"):
        tar.prepare(path)
    root = Path(tar.prepare(path, devices=True).layers[0])
    found = (root / "dev/mem").stat()
    assert stat.S_ISCHR(found.st_mode)
    assert found.st_rdev == os.makedev(1, 1)
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700
    with pytest.raises(ArchiveError, match="device node"):  # what was allowed once is not cached
        tar.prepare(path)


def test_a_fifo_keeps_its_owner_and_mode(tmp_path: Path) -> None:
    root = unpacked(tmp_path, (entry("p", tarfile.FIFOTYPE, uid=9, mode=0o622), b""))
    found = (root / "p").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (9, 0o622)
