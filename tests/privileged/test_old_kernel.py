"""Kernels without the new mount API: the same container by mount(2), as tight as the other one.

The calls are hidden by a filter that answers ENOSYS, on a new kernel. That shows which calls are
made and what comes of them; that an old kernel's own mount(2) does the same, it doesn't.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.privileged import test_faults as faults
from tests.support import leaks, needs, roots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "userns")

_UNDER = (sys.executable, str(Path(__file__).parents[1] / "support" / "old_kernel.py"))
# By the release an ordinary user's root is an overlay (5.11) or a copy.
WHO = ["root", "subids", "subids-copy", "single", "single-copy"]


@pytest.fixture(params=WHO)
def old(
    request: pytest.FixtureRequest,
    isolate_cmd: Isolate,
    rootless_cmd: Isolate,
    plain_cmd: Isolate,
) -> Isolate:
    """The command on an older kernel, as root, or as an ordinary user with or without ids."""
    name, _, copy = request.param.partition("-")
    if name == "subids":
        needs.require("newuidmap")
    made = {"root": isolate_cmd, "subids": rootless_cmd, "single": plain_cmd}[name]
    made.under = (*_UNDER, "--release") if copy else _UNDER
    return made


@pytest.fixture
def old_root(isolate_cmd: Isolate) -> Isolate:
    """The command on an older kernel, as root."""
    isolate_cmd.under = _UNDER
    return isolate_cmd


@pytest.fixture
def volume() -> Iterator[Path]:
    """A directory that everybody may reach and write to, outside of what a host root hides."""
    directory = Path(tempfile.mkdtemp(prefix="isolate-test-", dir="/opt"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def run(isolate: Isolate, root: Path | str, *args: str, check: bool = True) -> str:
    done = isolate("run", f"--rootfs={root}", *args)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def result_of(isolate: Isolate, root: Path, *args: str) -> Any:
    path = isolate.state.parent / "result"
    run(isolate, root, f"--result-json={path}", *args)
    return json.loads(path.read_text())


def test_the_calls_are_missing() -> None:
    """Else nothing here shows anything."""
    code = (
        "import os; from isolate.linux import detached, mount; "
        "print(mount.has_new_mount_api(), detached.native(), os.uname().release)"
    )
    words = [*_UNDER, "--release", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False False 2.6."), done.stderr


def test_a_new_kernel_loads_nothing_of_it(old_root: Isolate, busybox: Path) -> None:
    old_way = {"isolate.linux.staged", "isolate.native.staging", "isolate.native.copies"}
    found = []
    for under in (_UNDER, ()):
        old_root.under = under
        words = ["run", f"--rootfs={busybox}", "--", "true"]
        done = old_root(*words, env={"PYTHONPROFILEIMPORTTIME": "1"}, check=True)
        found.append({line.rpartition("|")[2].strip() for line in done.stderr.splitlines()})
    assert old_way <= found[0]
    assert old_way & found[1] == set()


def test_it_is_a_container(old: Isolate, busybox: Path) -> None:
    before = roots.tree(busybox)
    script = "id -u; hostname; echo /proc/[0-9]*; ls /sys/class/net; echo new >/new; cat /new; ls /"
    said = run(old, busybox, "--hostname=mine", "--", "sh", "-c", script).split()
    assert said[:5] == ["0", "mine", "/proc/1", "lo", "new"]
    assert set(said[5:]) == {"bin", "dev", "etc", "new", "proc", "sys", "tmp"}
    assert roots.tree(busybox) == before


def test_the_receipt_holds(old: Isolate, busybox: Path, volume: Path) -> None:
    options = ["--read-only", "--tmpfs=/more", f"-v{volume}:/v:ro", "--mask=/etc"]
    rows = result_of(old, busybox, *options, "--", "true")["receipt"]
    assert all(row["holds"] for row in rows)
    assert {"root", "root.fence", "root.readonly", "view.mounts", "view.users"} <= {
        row["feature"] for row in rows
    }


def test_chroot(old_root: Isolate, busybox: Path) -> None:
    said = run(old_root, busybox, "-b", "chroot", "--", "sh", "-c", "echo x >/x; ls /; id -u")
    assert said.split() == ["bin", "dev", "etc", "proc", "sys", "tmp", "x", "0"]
    assert not (busybox / "x").exists()


@pytest.mark.parametrize("users", ["--userns=host", "--userns=private"])
def test_the_users_of_root(old_root: Isolate, busybox: Path, users: str) -> None:
    script = "ls -nd /bin/busybox | cut -c 1-20; cat /proc/self/uid_map"
    mode, _links, _number, *ids = run(old_root, busybox, users, "--", "sh", "-c", script).split()
    assert mode == "-rwxr-xr-x"
    assert ids[-2:-1] == ["0"] if users == "--userns=host" else int(ids[-2]) >= 2**30


# The rows of what a path leads to: a mount that a later one covers has a row, but no path.
_REACHED = """
cut -d " " -f 5 /proc/self/mountinfo | sort -u | while read -r point; do
    (exec 9<"$point"; grep "^$(grep mnt_id /proc/self/fdinfo/9 | tr -dc 0-9) " /proc/self/mountinfo)
done 2>/dev/null
exit 0
"""


def mount_table(isolate: Isolate, root: Path | str, *args: str) -> list[str]:
    """Where what is mounted, and how; of the root only how."""
    rows = []
    for line in run(isolate, root, *args, "--", "sh", "-c", _REACHED).splitlines():
        left, _, right = line.partition(" - ")
        point, options, *propagation = left.split()[4:]
        kind = "" if point == "/" else right.split()[0]
        rows.append(" ".join([point, options, *propagation, kind]))
    return sorted(rows)


@pytest.mark.parametrize("root", ["busybox", "host"])
@pytest.mark.parametrize("options", [[], ["--read-only", "--tty", "--network=host"]], ids=str)
def test_the_mounts_are_those_of_a_new_kernel(
    old: Isolate, busybox: Path, volume: Path, root: str, options: list[str]
) -> None:
    source = str(busybox) if root == "busybox" else "host"
    options = [
        *options,
        "--mount=type=tmpfs,target=/run/more,size=1M",
        *(f"--mount=source={volume},target=/run/{name},ro=true" for name in ("v", "w")),
        f"--mount=source={volume}/f,target=/run/f,exec=false",
        *("--mask=/etc", "--mask=/var/cache", "--device=/dev/null:/dev/more"),
    ]
    (volume / "f").touch()
    found = mount_table(old, source, *options)
    old.under = ()
    assert found == mount_table(old, source, *options)
    assert len(found) > 30
    assert any(row.startswith("/run/v ro,nosuid,nodev") for row in found)


_SUBMOUNTS = """
cd "$1"; shift
t() { mkdir -p "$1"; mount -t tmpfs -o mode=777,nosuid,nodev,noexec,noatime none "$1"; }
t one; t one/two; t "one/a b"; t hidden/below; t hidden; t twice; t twice
mkdir closed; mount -t tmpfs -o mode=700 none closed; t closed/below
exec "$@"
"""


def with_submounts(isolate: Isolate, place: Path, *args: str) -> str:
    """What a run prints in a mount namespace of its own, where filesystems are mounted below
    `place`: in one another, at a name with a space, above others, out of an ordinary user's reach.
    Their flags are locked in a user namespace."""
    words = isolate.argv("run", *args)
    at = words.index("setpriv") if "setpriv" in words else 0
    words[at:at] = ["unshare", "--mount", "--propagation=private", "sh", "-c", _SUBMOUNTS]
    words[at + 6 : at + 6] = ["sh", str(place)]
    done = subprocess.run(
        words,
        env=isolate.environment,
        cwd=isolate.state.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def test_submounts_of_a_read_only_volume(old: Isolate, busybox: Path, volume: Path) -> None:
    """Read-only all the way down, and it stays so."""
    script = """
    for top in /w /v; do for d in "" /one /one/two "/one/a b" /hidden /twice; do
        echo x >"$top$d/x" && echo "wrote below $top"
    done; done
    mount -o remount,rw /v/one; mount -o remount,bind,rw /v/one
    grep -c " /v/[^ ]* tmpfs ro,nosuid,nodev,noexec,noatime" /proc/mounts
    """
    volumes = [f"-v{volume}:/w", f"-v{volume}:/v:ro"]
    words = [f"--rootfs={busybox}", *volumes, "--", "sh", "-c", script]
    said = with_submounts(old, volume, *words)
    assert said.count("wrote below /w") == 6, said
    assert "wrote below /v" not in said
    assert said.count("Read-only file system") == 6
    assert int(said.splitlines()[6]) >= 5


def test_submounts_of_the_host(old: Isolate, volume: Path) -> None:
    script = f"""
    for d in "" /one /one/two "/one/a b" /hidden /twice; do
        touch "{volume}$d/x" && echo wrote
    done
    """
    said = with_submounts(old, volume, "--rootfs=host", "--", "sh", "-c", script)
    assert "wrote" not in said
    assert said.count("Read-only file system") == 6, said


@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
@pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc", "dev/null", "dev/pts", "tmp"])
def test_a_place_in_the_root_is_a_link_to_the_host(
    old_root: Isolate, busybox: Path, volume: Path, backend: str, name: str
) -> None:
    hostile = roots.copy(busybox, old_root.state.parent / "root")
    (volume / "secret").write_text("canary")
    place = hostile / name
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        place.rmdir()
    place.symlink_to(volume / "secret" if name == "dev/null" else volume)
    before = roots.tree(volume), Path("/proc/self/mountinfo").read_text()
    options = [f"-v{volume}:/tmp/x:ro", "--tmpfs=/etc/x"] if backend == "namespaces" else []
    words = ["-b", backend, *options, "--", "sh", "-c", "echo x >/dev/null; echo x >/etc/x/y"]
    run(old_root, f"dir:{hostile}", *words, check=False)
    assert (roots.tree(volume), Path("/proc/self/mountinfo").read_text()) == before


def test_a_copy_is_like_the_root(old_root: Isolate, busybox: Path, tmp_path: Path) -> None:
    """Owners by the container's map; modes, links and times kept; the host's root is nobody's."""
    source = roots.copy(busybox, tmp_path / "root")
    (source / "file").write_text("x")
    os.chown(source / "file", 7, 8)
    (source / "file").chmod(0o4751)
    os.utime(source / "file", (1, 2))
    os.link(source / "file", source / "same")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo")
    (source / "hole").touch()
    os.truncate(source / "hole", 1 << 30)
    (source / "stranger").touch()
    os.chown(source / "stranger", 70000, 0)
    script = """
    stat -c "%n %u:%g %a %Y %h" file same; stat -c "%n %F %s" fifo hole; stat -c %u stranger
    readlink link; [ file -ef same ] && echo same; [ "$(stat -c %b hole)" -lt 9 ] && echo sparse
    """
    said = run(old_root, source, "--", "sh", "-c", script).splitlines()
    assert said == [
        *("file 7:8 4751 2 2", "same 7:8 4751 2 2", "fifo fifo 0", "hole regular file 1073741824"),
        *("65534", "/etc/passwd", "same", "sparse"),
    ]


def test_exec_joins_it(old: Isolate, busybox: Path) -> None:
    name = run(old, busybox, "--detach", "--", "sleep", "60").strip()
    try:
        inside = old("exec", name, "--", "sh", "-c", "echo $(id -u) $(ps -o pid,comm)", check=True)
        assert inside.stdout.split()[0] == "0"
        assert "1 sleep" in inside.stdout
        status = old("exec", name, "--", "cat", "/proc/self/status", "/proc/1/status", check=True)
        for field in ("CapBnd", "Seccomp", "NoNewPrivs"):
            rows = [line for line in status.stdout.splitlines() if line.startswith(f"{field}:")]
            assert len(rows) == 2
            assert rows[0] == rows[1]
    finally:
        old("delete", "--force", name, check=True)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["namespaces", "chroot"])
def test_killed_at_every_point(old_root: Isolate, busybox: Path, volume: Path, kind: str) -> None:
    """Nothing of the stage or the copy is left, on the host or in the state directory."""
    faults.die_at_every_point(old_root, kind, faults.victim(old_root, kind, busybox, volume))


@pytest.mark.timeout(120)
@pytest.mark.needs("newuidmap")
def test_killed_at_every_point_with_a_copy(rootless_cmd: Isolate, busybox: Path) -> None:
    rootless_cmd.under = (*_UNDER, "--release")
    assert rootless_cmd.account is not None
    home = rootless_cmd.account.home
    faults.die_at_every_point(
        rootless_cmd, "rootless", faults.victim(rootless_cmd, "rootless", busybox, home)
    )


def test_killed_while_it_copies(old_root: Isolate) -> None:
    old_root("run", "--", "true", check=True)  # `base` is built
    before = leaks.Snapshot()
    with old_root.popen("run", "--", "true") as running:
        while not list(old_root.state.glob("containers/*/root.partial/usr")):
            assert running.poll() is None
        running.kill()
    assert old_root("gc").returncode == 0
    assert faults.left_in(old_root.state) == []
    assert leaks.settled(before) == []


def test_backends_that_need_more_say_so(old_root: Isolate) -> None:
    rows = {row["name"]: row for row in json.loads(old_root("backends", "--json").stdout)}
    assert rows["namespaces"]["usable"]
    assert rows["chroot"]["usable"]
    assert "mounts.idmap" not in rows["namespaces"]["features"]
    for name in ("jail", "lxc", "runc"):
        assert any("mount_setattr(2)" in row["what"] for row in rows[name]["problems"])
    doctor = old_root("doctor").stdout
    assert any(line.split()[:3] == ["mounts", "by", "mount(2)"] for line in doctor.splitlines())


def test_what_a_copy_can_not_give_is_refused(old_root: Isolate, volume: Path) -> None:
    done = old_root("run", f"-v{volume}:/v:idmap", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("error: backend namespaces can't honour mounts.idmap here\n")
