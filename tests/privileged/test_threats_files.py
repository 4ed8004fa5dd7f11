"""Attempts to reach the host's files: a canary outside, an attacker inside, hostile roots."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import roots
from tests.support.probes import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that must stay as it is."""
    directory = tmp_path / "canary"
    directory.mkdir()
    (directory / "secret").write_text("canary")
    before = roots.tree(directory), os.lstat(directory).st_mtime_ns
    yield directory
    assert (roots.tree(directory), os.lstat(directory).st_mtime_ns) == before


@pytest.fixture
def hostile(busybox: Path, tmp_path: Path) -> Path:
    """A root that the test may spoil."""
    tmp_path.chmod(0o755)
    return roots.copy(busybox, tmp_path / "root")


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def inside(isolate: Isolate, *args: str) -> subprocess.CompletedProcess[str]:
    done = isolate("run", *args)
    assert "Traceback" not in done.stderr, done.stderr
    return done


ESCAPES = {
    "a second chroot": """
os.mkdir("/deep"); top = os.open("/", os.O_RDONLY); os.chroot("/deep"); os.fchdir(top)
for _ in range(64): os.chdir("..")
os.chroot("."); print(os.path.exists(PATH))""",
    "the root of pid 1": 'print(os.path.exists("/proc/1/root" + PATH))',
    "the working directory of pid 1": 'print(os.path.exists("/proc/1/cwd/../../.." + PATH))',
    "the magic links of descriptors": """
print(any(os.path.exists(f"/proc/{p}/fd/{n}" + PATH) for p in ("1", "self") for n in range(64)))""",
    "mounting the disk": """
import glob
print(any(libc.mount(b"/dev/" + name, b"/tmp", fs, 0, 0) == 0
    for name in (b"vda", b"vda1", b"sda", b"sda1") for fs in (b"ext4", b"xfs")))""",
    "a bind of the host through a new mount namespace": """
libc.unshare(0x20000); libc.mount(b"/proc/1/root", b"/tmp", None, 0x1000, None)
print(os.path.exists("/tmp" + PATH))""",
}


@pytest.mark.parametrize("way", ESCAPES)
@pytest.mark.parametrize("options", [[], ["--cap-add=SYS_ADMIN", "--seccomp=unconfined"]], ids=str)
def test_the_root_can_not_be_left(
    isolate_cmd: Isolate, canary: Path, way: str, options: list[str]
) -> None:
    code = f"PATH = {str(canary / 'secret')!r}\n{ESCAPES[way]}"
    done = inside(isolate_cmd, *options, "--", *probe(code))
    assert done.stdout.split()[-1:] in ([], ["False"]), done.stdout
    assert done.stdout or "PermissionError" in done.stderr or done.returncode


@pytest.mark.parametrize("options", [[], ["--cap-add=DAC_READ_SEARCH"]], ids=str)
def test_file_handles_do_not_open_the_host(
    isolate_cmd: Isolate, canary: Path, options: list[str]
) -> None:
    """open_by_handle_at(2), as in shocker: a volume on the host's filesystem as the anchor."""
    code = """
handle = struct.pack("=IiQ", 8, 1, 2) + bytes(128)
anchor = os.open("/anchor", os.O_RDONLY)
print(syscall(304, anchor, ctypes.c_char_p(handle), 0))"""
    volume = canary.parent / "anchor"
    volume.mkdir()
    done = inside(isolate_cmd, *options, f"-v{volume}:/anchor", "--", *probe(code))
    assert int(done.stdout) in (-1, -13, -95), done.stdout  # EPERM, EACCES, EOPNOTSUPP


def test_a_set_uid_program_in_a_volume(isolate_cmd: Isolate, busybox: Path, tmp_path: Path) -> None:
    """Made inside by root, it is nobody's outside; the host's own gives nothing inside."""
    tmp_path.chmod(0o777)
    script = "cp /bin/busybox /data/shell; chmod 4755 /data/shell"
    inside(isolate_cmd, f"--rootfs={busybox}", f"-v{tmp_path}:/data", "--", "sh", "-c", script)
    made = (tmp_path / "shell").stat()
    assert made.st_uid >= 2**30
    program = tmp_path / "busybox"
    program.write_bytes((busybox / "bin" / "busybox").read_bytes())
    program.chmod(0o4755)
    options = ["--user=7", "--userns=host", "--new-privileges", f"-v{tmp_path}:/data"]
    done = inside(isolate_cmd, f"--rootfs={busybox}", *options, "--", "/data/busybox", "id", "-u")
    assert done.stdout == "7\n"


@pytest.mark.parametrize("backend", ["namespaces", "jail"])
def test_a_set_uid_program_of_the_hosts_root(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path, backend: str
) -> None:
    """By a volume with mapped owners: only where nobody else can run it, or where it is meant."""
    place, volume = tmp_path / "place", tmp_path / "place" / "volume"
    volume.mkdir(parents=True)
    script = "cp /bin/busybox /v/shell; chmod 4755 /v/shell; stat -c %u%a /v/shell"

    def left(option: str) -> str:
        words = ["-b", backend, f"--rootfs={busybox}", option, "--", "sh", "-c", script]
        done = inside(isolate_cmd, *words)
        (volume / "shell").unlink(missing_ok=True)
        return done.stdout.strip() or done.stderr.splitlines()[0]

    way = [tmp_path, *(parent for parent in tmp_path.parents if parent.stat().st_mode & 0o77 == 0)]
    modes = {directory: directory.stat().st_mode & 0o7777 for directory in way}
    try:
        for directory in way:
            directory.chmod(0o755)
        refused = "error: mounts[0].idmap: root inside could leave programs below"
        assert left(f"-v{volume}:/v:idmap").startswith(refused)
        place.chmod(0o710)
        assert left(f"-v{volume}:/v:idmap").startswith(refused)
        assert "Read-only" in left(f"-v{volume}:/v:idmap,ro")
        assert left(f"--mount=source={volume},target=/v,idmap=true,suid=true") == "04755"
        place.chmod(0o700)
        assert left(f"-v{volume}:/v:idmap") == "04755"
        os.chown(place, 7, 7)
        assert left(f"-v{volume}:/v:idmap").startswith(refused)
    finally:
        for directory, mode in modes.items():
            directory.chmod(mode)


@pytest.mark.parametrize("descriptor", [*range(3, 20), 38, 39])
def test_working_directory_by_a_descriptor(
    isolate_cmd: Isolate, busybox: Path, descriptor: int
) -> None:
    """A directory of the host is open in isolate, inheritable: no way in leads through it."""
    words = isolate_cmd.argv(
        *("run", f"--rootfs={busybox}", f"--workdir=/proc/self/fd/{descriptor}", "--"),
        *("sh", "-c", "ls -a ./.. | head -50; readlink /proc/self/cwd; ls /proc/self/fd"),
    )
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(host, True)
    planted = os.dup2(host, 39)
    try:
        done = subprocess.run(
            words,
            env=isolate_cmd.environment,
            cwd=isolate_cmd.state.parent,
            pass_fds=(host, planted),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(host)
        os.close(planted)
    if done.returncode == 0:  # one of the container's own
        assert "boot" not in done.stdout
        assert done.stdout.splitlines()[-4:] == ["0", "1", "2", "3"]
    else:
        assert done.returncode == 125
        assert done.stderr.startswith("error: ")


def test_planted_descriptors_are_not_passed_on(isolate_cmd: Isolate, busybox: Path) -> None:
    words = isolate_cmd.argv("run", f"--rootfs={busybox}", "--", "ls", "/proc/self/fd")
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    planted = [os.dup2(host, number) for number in (20, 99, 500)]
    try:
        done = subprocess.run(
            words,
            env=isolate_cmd.environment,
            cwd=isolate_cmd.state.parent,
            pass_fds=planted,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for descriptor in (host, *planted):
            os.close(descriptor)
    assert done.stdout.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
@pytest.mark.parametrize(
    "name", ["dev", "proc", "sys", "etc", "dev/null", "dev/pts", "dev/console", "proc/sys", "tmp"]
)
def test_a_place_in_the_root_is_a_link_to_the_host(
    isolate_cmd: Isolate, hostile: Path, canary: Path, backend: str, name: str
) -> None:
    """Absolute, or relative and leaving the root by `..`."""
    relative = name in ("dev", "sys", "dev/null")
    target = str(canary)
    if name == "dev/null":
        target = str(canary / "secret")
    place = hostile / name
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        place.rmdir()
    place.symlink_to(os.path.relpath(target, place.parent) if relative else target)
    before = mounts()
    options = [f"-v{canary}:/tmp/x:ro", "--tty"] if backend == "namespaces" else []
    script = "echo written > /dev/null; echo x > /etc/x; echo end; cat /proc/self/stat > /dev/null"
    inside(
        isolate_cmd, "-b", backend, f"--rootfs=dir:{hostile}", *options, "--", "sh", "-c", script
    )
    assert mounts() == before
    assert roots.tree(hostile).keys() >= {name}


@pytest.mark.parametrize("kind", ["volume", "tmpfs", "mask", "workdir"])
def test_a_target_below_a_link_to_the_host(
    isolate_cmd: Isolate, hostile: Path, canary: Path, kind: str
) -> None:
    """What is missing is made inside the root, wherever the links point."""
    (hostile / "link").symlink_to(canary)
    source = canary.parent / "source"
    source.mkdir()
    option = {
        "volume": f"--volume={source}:/link/made/here",
        "tmpfs": "--tmpfs=/link/made/here",
        "mask": "--mask=/link/secret",
        "workdir": "--workdir=/link",
    }[kind]
    inside(isolate_cmd, f"--rootfs=dir:{hostile}", option, "--", "sh", "-c", "echo x > here/x")


@pytest.mark.timeout(90)
def test_a_target_that_is_swapped_for_a_link_while_containers_start(
    isolate_cmd: Isolate, busybox: Path, canary: Path
) -> None:
    """The race of CVE-2021-30465: a shared volume in which somebody swaps directory and link."""
    shared = canary.parent / "shared"
    shared.mkdir(mode=0o777)
    (shared / "directory").mkdir()
    (shared / "link").symlink_to(f"../../../../../..{canary}")
    stop = threading.Event()

    def swap() -> None:
        a, b, spare = (os.fspath(shared / name) for name in ("directory", "link", "spare"))
        while not stop.is_set():
            os.rename(a, spare)
            os.rename(b, a)
            os.rename(spare, b)

    before = mounts()
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(25):
            options = [
                f"-v{shared}:/shared",
                "--tmpfs=/shared/directory",
                f"-v{shared}:/shared/link/x",
            ]
            done = inside(
                isolate_cmd, f"--rootfs={busybox}", *options, "--", "touch", "/shared/directory/x"
            )
            assert done.returncode in (0, 1, 125), done.stderr
    finally:
        stop.set()
        swapper.join()
    assert mounts() == before


@pytest.mark.parametrize(
    "option",
    [
        "--tmpfs=/proc",
        "--tmpfs=/proc/self/attr",
        "--tmpfs=/proc/sys",
        "--volume=/etc:/proc",
        "--volume=/etc:/proc/self",
        "--volume=/etc/passwd:/proc/self/attr/exec",
        "--mount=type=sysfs,target=/proc/1",
        "--device=/dev/null:/proc/kcore",
    ],
)
def test_nothing_covers_proc(isolate_cmd: Isolate, busybox: Path, option: str) -> None:
    done = inside(isolate_cmd, f"--rootfs={busybox}", option, "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("error: ")


def test_nothing_covers_proc_through_a_link(
    isolate_cmd: Isolate, hostile: Path, canary: Path
) -> None:
    (hostile / "link").symlink_to("/proc")
    done = inside(isolate_cmd, f"--rootfs=dir:{hostile}", "--tmpfs=/link/sys", "--", "true")
    assert done.returncode == 125


def test_a_submount_of_a_read_only_volume(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path
) -> None:
    """Read-only all the way down (recursively)."""
    tmp_path.chmod(0o777)
    below = tmp_path / "below"
    below.mkdir()
    # In a mount namespace of the test's:
    script = 'mount -t tmpfs -o mode=777 none "$1" && shift && exec "$@"'
    words = isolate_cmd.argv(
        *("run", f"--rootfs={busybox}", f"-v{tmp_path}:/v:ro", f"-v{tmp_path}:/w", "--"),
        *(
            "sh",
            "-c",
            "touch /w/below/x && echo below; touch /v/x /v/below/x; mount -o remount,rw /v",
        ),
    )
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            script,
            "sh",
            str(below),
            *words,
        ],
        env=isolate_cmd.environment,
        cwd=isolate_cmd.state.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "below\n"
    assert done.stderr.count("Read-only file system") == 2


def test_mounts_inside_are_not_the_hosts(isolate_cmd: Isolate, tmp_path: Path) -> None:
    """Propagation: also from a shared mount of the host, and with every right inside."""
    before = mounts()
    tmp_path.chmod(0o777)
    for options in (
        ["--cap-add=SYS_ADMIN", "--seccomp=unconfined"],
        ["--privileged"],
    ):
        done = inside(
            isolate_cmd, *options, f"-v{tmp_path}:/v", "--", *probe("""
os.makedirs("/v/m", exist_ok=True)
print(libc.mount(b"none", b"/v/m", b"tmpfs", 0, 0))
print(any(" /v/m " in line for line in open("/proc/self/mountinfo")))"""),
        )  # fmt: skip
        assert done.stdout.split()[0] == "0", done.stderr
        assert done.stdout.split()[-1] == "True"
        assert mounts() == before


def test_the_runtimes_executable_can_not_be_opened_for_writing(
    isolate_cmd: Isolate, busybox: Path
) -> None:
    """CVE-2019-5736: #!/proc/self/exe, and an init that is a process of ours."""
    script = "for e in /proc/*/exe; do (: >> $e) 2>/dev/null && echo wrote $e; done; echo end"
    for options in ([], ["--init"]):
        done = inside(
            isolate_cmd, f"--rootfs={busybox}", "--read-only", *options, "--", "sh", "-c", script
        )
        assert done.stdout == "end\n"


def test_an_init_can_not_be_traced_or_read(isolate_cmd: Isolate) -> None:
    """It is a process of ours, with our memory: not dumpable."""
    code = """
print(refused(os.open, "/proc/1/mem", os.O_RDWR), refused(os.readlink, "/proc/1/exe"))
print(refused(os.listdir, "/proc/1/fd"), -syscall(101, 16, 1, 0, 0) in (1, 3))"""
    for options in ([], ["--cap-add=SYS_PTRACE", "--seccomp=unconfined"]):
        done = inside(isolate_cmd, "--init", *options, "--", *probe(code))
        assert "ALLOWED" not in done.stdout.splitlines()[0], (options, done.stdout)


def test_state_is_not_reachable_from_inside(isolate_cmd: Isolate) -> None:
    for options in ([], ["--rootfs=host"]):
        script = f"ls {isolate_cmd.state} 2>/dev/null; ls /run/isolate 2>/dev/null; echo end"
        done = inside(isolate_cmd, *options, "--", "sh", "-c", script)
        assert done.stdout == "end\n", (options, done.stderr)


def test_state_directory_of_somebody_else(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path
) -> None:
    for name, owner, mode in (("theirs", 65534, 0o700), ("open", 0, 0o777), ("group", 0, 0o770)):
        directory = tmp_path / name
        directory.mkdir()
        directory.chmod(mode)
        os.chown(directory, owner, owner)
        done = inside(isolate_cmd, f"--root={directory}", f"--rootfs={busybox}", "--", "true")
        assert done.returncode == 125
        assert list(directory.iterdir()) == []
    link = tmp_path / "link"
    (tmp_path / "target").mkdir(mode=0o700)
    link.symlink_to(tmp_path / "target")
    assert (
        inside(isolate_cmd, f"--root={link}", f"--rootfs={busybox}", "--", "true").returncode == 125
    )


@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
def test_modules_in_the_root_are_not_our_code(
    isolate_cmd: Isolate, hostile: Path, backend: str
) -> None:
    """A late import after the pivot would run them with every right."""
    for place in {entry for entry in sys.path if entry.startswith("/")} | {"/usr/lib/python3"}:
        for name in ("resource", "pwd", "encodings/idna", "signal", "json", "_socket", "grp"):
            path = hostile / place[1:] / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("open('/owned', 'w').close()\n")
    options = ["--rlimit=nofile=50", "--user=7"]
    if backend == "namespaces":
        options += ["--init", "--hostname=x", "--tty"]
    done = inside(isolate_cmd, "-b", backend, f"--rootfs=dir:{hostile}", *options, "--", "ls", "/")
    assert "bin" in done.stdout
    assert "owned" not in done.stdout
