"""Every option of `isolate run`, its effect seen from inside and, where it can be, from outside."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from isolate.cli.options import RUN_OPTIONS
from isolate.linux.cgroup import discover, usable_controllers
from tests.privileged.test_run_status import result_of, two_lines
from tests.support import needs, roots

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def inside(isolate_cmd: Isolate, busybox: Path) -> Inside:
    return Inside(isolate_cmd, busybox)


class Inside:
    """What a shell script inside says, with these options."""

    def __init__(self, isolate: Isolate, root: Path) -> None:
        self.isolate = isolate
        self.root = root

    def __call__(self, *options: str, script: str, text: str = "") -> str:
        words = ["run", f"--rootfs={self.root}", *options, "--", "sh", "-c", script]
        done = self.isolate(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_backend(inside: Inside) -> None:
    own = inside("-b", "namespaces", script="readlink /proc/self/ns/pid").strip()
    hosts = inside("--backend=chroot", script="readlink /proc/self/ns/pid").strip()
    assert own != hosts == os.readlink("/proc/self/ns/pid")


def test_backend_from_the_environment(isolate_cmd: Isolate, busybox: Path) -> None:
    done = isolate_cmd(
        *("run", f"--rootfs={busybox}", "--result-json=-", "--", "true"),
        env={"ISOLATE_BACKEND": "chroot"},
        check=True,
    )
    assert json.loads(done.stderr)["backend"] == "chroot"


def test_spec_and_flags_over_it(inside: Inside, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('hostname = "of-file"\n[process]\nenv = { A = "file", B = "file" }\n')
    options = [f"--spec={spec}", "--env=B=flag"]
    assert inside(*options, script="hostname; echo $A $B") == "of-file\nfile flag\n"


def test_spec_from_standard_input(isolate_cmd: Isolate, busybox: Path) -> None:
    document = json.dumps(
        {"root": {"source": f"dir:{busybox}"}, "process": {"args": ["echo", "from stdin"]}}
    )
    done = isolate_cmd("run", "--spec=-", text=document)
    assert (done.returncode, done.stdout) == (0, "from stdin\n")


def test_name(inside: Inside, isolate_cmd: Isolate, busybox: Path) -> None:
    assert result_of(isolate_cmd, "--name=chosen", f"--rootfs={busybox}", "--", "true")[
        "id"
    ] == "chosen"  # fmt: skip
    assert inside("--name=chosen", script="hostname") == "chosen\n"


def test_rootfs_is_never_written_to(inside: Inside, tmp_path: Path, busybox: Path) -> None:
    before = roots.tree(busybox)
    inside(script="echo x > /new; rm /bin/cat; chmod 777 /bin; chown 5 /bin/busybox; mkdir /proc/x"
           " 2>/dev/null; true")  # fmt: skip
    assert roots.tree(busybox) == before


def test_read_only(inside: Inside) -> None:
    script = "for d in / /bin /etc /tmp; do touch $d/x && echo wrote $d; done 2>/dev/null; true"
    assert inside("--read-only", script=script) == ""
    assert inside(script=script).split() == "wrote / wrote /bin wrote /etc wrote /tmp".split()


def test_hostname(inside: Inside) -> None:
    assert inside("--hostname=chosen", script="hostname") == "chosen\n"


def test_env(inside: Inside, isolate_cmd: Isolate) -> None:
    isolate_cmd.environment["MINE"] = "copied"
    script = 'echo "$A|$B|$MINE|${ABSENT-unset}"'
    options = ["--env=A=1 2", "-eB=x=y", "-e", "MINE", "-eABSENT"]
    assert inside(*options, script=script) == "1 2|x=y|copied|unset\n"


def test_env_file_and_env_over_it(inside: Inside, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes("# comment\n\nA=file\nB=of file \u00e4\n".encode() + b"C=\xff\n")
    out = inside(f"--env-file={file}", "--env=A=flag", script="echo $A; echo $B")
    assert out == "flag\nof file \u00e4\n"


def test_workdir(inside: Inside) -> None:
    assert inside("--workdir=/etc", script="pwd; readlink /proc/self/cwd") == "/etc\n/etc\n"
    assert inside("-w/bin", script="pwd") == "/bin\n"


def test_user(inside: Inside) -> None:
    assert inside("--user=7:8", script="id") == "uid=7 gid=8\n"
    assert inside("-u65534", script="id -u; id -g") == "65534\n0\n"


def test_mount(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    tmp_path.chmod(0o755)
    options = [f"--mount=type=bind,source={tmp_path},target=/made/here,readonly"]
    script = "cat /made/here/file; touch /made/here/x 2>/dev/null || echo refused"
    assert inside(*options, script=script) == "contentrefused\n"
    kinds = "awk '$5 ~ /^.x/ {print $5, $(NF-2)}' /proc/self/mountinfo"
    assert inside(
        *("--mount=type=tmpfs,target=/x1,size=1M", "--mount=type=mqueue,target=/x2"),
        *("--mount=type=devpts,target=/x3", "--mount=type=proc,target=/x4"),
        script=kinds,
    ).splitlines() == ["/x1 tmpfs", "/x2 mqueue", "/x3 devpts", "/x4 proc"]


def test_volume(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    tmp_path.chmod(0o777)
    inside(f"-v{tmp_path}:/data", script="cp /data/file /data/copy")
    assert (tmp_path / "copy").read_text() == "content"
    assert (tmp_path / "copy").stat().st_uid >= 2**30, "root inside is nobody's root outside"
    script = "cat /f; echo x > /f || echo refused"
    assert inside(f"--volume={tmp_path}/file:/f:ro", script=script).endswith("refused\n")


def test_volume_with_mapped_owners(inside: Inside, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    inside(f"-v{tmp_path}:/data:idmap", script="touch /data/x; chown 7:8 /data/x; touch /data/y")
    assert ((tmp_path / "x").stat().st_uid, (tmp_path / "x").stat().st_gid) == (7, 8)
    assert (tmp_path / "y").stat().st_uid == 0


def test_volume_relative_to_the_caller(inside: Inside) -> None:
    (inside.isolate.state.parent / "here").write_text("relative")
    assert inside("-v./here:/here", script="cat /here") == "relative"


def test_tmpfs(inside: Inside) -> None:
    script = "stat -c %a /t; dd if=/dev/zero of=/t/x bs=64k 2>/dev/null; stat -c %s /t/x"
    assert inside("--tmpfs=/t:size=1M,mode=700", script=script) == "700\n1048576\n"
    assert inside("--tmpfs=/t", script="stat -c %a /t") == "1777\n"


def test_network(inside: Inside) -> None:
    links = "ls /sys/class/net"
    assert inside(script=links).split() == ["lo"]
    assert inside("--network=none", script=links + "; ping -c1 -W1 127.0.0.1 >/dev/null").split()
    assert set(inside("--network=host", script=links).split()) == set(os.listdir("/sys/class/net"))
    own = inside("--network=host", script="readlink /proc/self/ns/net").strip()
    assert own == os.readlink("/proc/self/ns/net")


@pytest.mark.needs("cgroup:memory")
def test_memory_and_swap(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(isolate_cmd, "-m64M", "--memory-swap=0", f"--rootfs={busybox}", "--", "true")
    rows = {row["feature"]: row for row in result["receipt"]}
    assert rows["limits.memory"]["enforced"] == str(64 << 20)
    assert rows["limits.memory_swap"]["holds"]


@pytest.mark.needs("cgroup:cpu")
def test_cpus(isolate_cmd: Isolate, busybox: Path) -> None:
    spin = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    result = result_of(isolate_cmd, "--cpus=0.25", f"--rootfs={busybox}", "--", "sh", "-c", spin)
    used = result["cpu_user_seconds"] + result["cpu_system_seconds"]
    assert used < 0.6 * result["wall_seconds"] + 0.1
    row = next(row for row in result["receipt"] if row["feature"] == "limits.cpus")
    assert float(row["enforced"]) == pytest.approx(0.25)


@pytest.mark.needs("cgroup:cpu")
def test_cpu_weight(isolate_cmd: Isolate, busybox: Path) -> None:
    result = result_of(isolate_cmd, "--cpu-weight=50", f"--rootfs={busybox}", "--", "true")
    row = next(row for row in result["receipt"] if row["feature"] == "limits.cpu_weight")
    assert row["holds"]
    assert float(row["enforced"]) == pytest.approx(50, abs=3)


@pytest.mark.needs("cgroup:cpuset")
def test_cpuset(inside: Inside) -> None:
    allowed = inside("--cpuset=0", script="grep Cpus_allowed_list /proc/self/status")
    assert allowed.split() == ["Cpus_allowed_list:", "0"]


@pytest.mark.needs("cgroup:pids")
def test_pids(inside: Inside) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all"
    words = ["run", f"--rootfs={inside.root}", "--pids=4", "--", "sh", "-c", script]
    done = inside.isolate(*words)
    assert "fork" in done.stderr
    assert done.returncode == 2
    assert inside("--pids=16", script=script) == "all\n"


def test_io_max(isolate_cmd: Isolate, busybox: Path) -> None:
    reason = usable_controllers(discover())["io"]
    needs.require_that(reason is None, "cgroup:blkio", str(reason))
    device = next(
        (
            (disk / "dev").read_text().strip()
            for disk in sorted(_disks())
            if not disk.name.startswith(("loop", "ram", "zram", "nbd", "fd", "sr"))
        ),
        None,
    )
    assert device is not None
    result = result_of(
        isolate_cmd, f"--io-max={device}:rbps=1M,wiops=50", f"--rootfs={busybox}", "--", "true"
    )
    row = next(row for row in result["receipt"] if row["feature"] == "limits.io")
    assert row["holds"]
    assert "1048576" in row["enforced"]


def _disks() -> list[Path]:
    from pathlib import Path

    return list(Path("/sys/block").iterdir())


@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
def test_rlimit(inside: Inside, backend: str) -> None:
    options = ["-b", backend, "--rlimit=nofile=99:100", "--rlimit=core=0"]
    assert inside(*options, script="ulimit -n; ulimit -Hn; ulimit -c") == "99\n100\n0\n"


def test_an_rlimit_that_may_not_be_raised(isolate_cmd: Isolate, busybox: Path) -> None:
    done = isolate_cmd("run", f"--rootfs={busybox}", "--rlimit=nofile=unlimited", "--", "true")
    assert done.returncode == 125
    assert two_lines(done.stderr)


@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
def test_max_output(isolate_cmd: Isolate, busybox: Path, backend: str) -> None:
    run = ["run", "-b", backend, f"--rootfs={busybox}"]
    done = isolate_cmd(*run, "--max-output=1000", "--", "yes")
    assert done.returncode == 137
    assert len(done.stdout) == 1000
    assert two_lines(done.stderr)
    whole = isolate_cmd(*run, "--max-output=5", "--", "printf", "12345")
    assert (whole.returncode, whole.stdout) == (0, "12345")


def test_capabilities(inside: Inside) -> None:
    bounding = "awk '/CapBnd/ {print $2}' /proc/self/status"
    default = int(inside(script=bounding), 16)
    assert default == 0xA80425FB, "Docker's default set"
    assert int(inside("--cap-drop=ALL", script=bounding), 16) == 0
    assert int(inside("--cap-drop=ALL", "--cap-add=chown", script=bounding), 16) == 1
    assert int(inside("--cap-add=CAP_SYS_PTRACE", script=bounding), 16) == default | 1 << 19
    assert int(inside("--cap-drop=cap_kill", script=bounding), 16) == default & ~(1 << 5)


def test_seccomp(inside: Inside, tmp_path: Path) -> None:
    mode = "awk '/^Seccomp:/ {print $2}' /proc/self/status"
    assert inside("--seccomp=default", script=mode) == "2\n"
    assert inside("--seccomp=unconfined", script=mode) == "0\n"
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    script = "mkdir /x 2>&1 || true"
    assert "Input/output error" in inside(f"--seccomp={profile}", script=script)


def test_no_new_privileges(inside: Inside) -> None:
    flag = "awk '/NoNewPrivs/ {print $2}' /proc/self/status"
    assert inside(script=flag) == "1\n"
    assert inside("--no-new-privileges", script=flag) == "1\n"
    assert inside("--new-privileges", script=flag) == "0\n"
    assert inside("-b", "chroot", "--no-new-privileges", script=flag) == "1\n"


def test_privileged(inside: Inside) -> None:
    script = (
        "awk '/CapEff|^Seccomp:|NoNewPrivs/ {print $2}' /proc/self/status;"
        "cat /proc/self/uid_map; cat /proc/kcore 2>/dev/null | head -c 4 | od -An -c"
    )
    capabilities, no_new, seccomp, map_, *_ = inside("--privileged", script=script).splitlines()
    with open("/proc/self/status") as status:
        bounding = next(line.split()[1] for line in status if line.startswith("CapBnd"))
    assert (capabilities, no_new, seccomp) == (bounding, "0", "0")
    assert map_.split()[:2] == ["0", "0"]


def test_device(inside: Inside) -> None:
    (device,) = inside(
        "--device=/dev/zero:/dev/nil", script="head -c1 /dev/nil | od -An -tx1"
    ).split()
    assert device == "00"


@pytest.mark.needs("cgroup:devices")
def test_device_access_is_the_cgroups(inside: Inside) -> None:
    script = "( : < /dev/x ) 2>&1 && echo read; ( : >> /dev/x ) 2>&1 && echo wrote; true"
    device = next(path for path in ("/dev/loop-control", "/dev/fuse") if os.path.exists(path))
    options = ["--userns=host", f"--device={device}:/dev/x"]
    assert inside(*options, script=script) == "read\nwrote\n"
    said = inside(*options[:1], f"{options[1]}:r", script=script).splitlines()
    assert said[0] == "read"
    assert "permitted" in said[1]


def test_userns_host(inside: Inside, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    inside("--userns=host", f"-v{tmp_path}:/d", script="touch /d/x")
    assert (tmp_path / "x").stat().st_uid == 0


def test_mask(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "file").write_text("secret")
    tmp_path.chmod(0o777)
    volumes = [f"-v{tmp_path}:/d", f"-v{tmp_path}:/e"]
    masks = ["--mask=/d", "--mask=/e/file", "--mask=/proc/version", "--mask=/absent"]
    script = "ls /d; cat /e/file /proc/version; touch /d/x 2>/dev/null || echo ro; cat /e/secret"
    assert inside(*volumes, *masks, script=script) == "ro\nsecret"


def test_require(isolate_cmd: Isolate, busybox: Path) -> None:
    words = [f"--rootfs={busybox}", "--", "true"]
    assert result_of(isolate_cmd, "--require=network=none", *words)["backend"] == "namespaces"
    assert result_of(isolate_cmd, "--require=root", "--require=users.host", *words)


def test_interactive(inside: Inside) -> None:
    assert inside("-i", script="cat", text="passed on") == "passed on"
    assert inside(script="cat", text="passed on") == "passed on"
    assert inside("--no-stdin", script="cat", text="kept back") == ""


def test_init_reaps_orphans(inside: Inside) -> None:
    script = (
        "cat /proc/1/comm; sh -c 'sh -c \"sleep 0.05 & exit\"; exit'; sleep 0.3;"
        "ps -o stat,comm | grep -c '^Z'; true"
    )
    assert inside("--init", script=script) == "init\n0\n"
    assert inside(script="cat /proc/$$/comm; exit") == "sh\n"


def test_root(isolate_cmd: Isolate, busybox: Path, tmp_path: Path) -> None:
    where = tmp_path / "state"
    isolate_cmd("run", f"--root={where}", f"--rootfs={busybox}", "--", "true", check=True)
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    assert list((where / "containers").iterdir()) == []
    assert list(isolate_cmd.state.iterdir()) == []


def test_an_option_that_the_backend_does_not_know(isolate_cmd: Isolate, busybox: Path) -> None:
    done = isolate_cmd("run", "--option=bogus=1", f"--rootfs={busybox}", "--", "true")
    assert done.returncode == 125
    assert "bogus" in done.stderr
    assert two_lines(done.stderr)
    other = isolate_cmd("run", "--option=jail.x=1", f"--rootfs={busybox}", "--", "true")
    assert two_lines(other.stderr)


def test_unmask(inside: Inside) -> None:
    script = "grep -c ' /proc/' /proc/self/mountinfo"
    assert int(inside(script=script)) > 5
    assert inside("--unmask", script=f"{script} || true").strip() == "0"


def test_every_option_is_tested_here() -> None:
    """A new option needs a test of its effect: in this file, or among the terminal's."""
    with open(__file__) as file:
        source = file.read()
    elsewhere = {"--tty", "--dry-run", "--result-json", "--timeout", "--allow-degraded"}
    elsewhere |= {"--detach", "--restart", "--log-size"}  # with the supervisor's tests
    missing = [
        option.flags[0]
        for option in RUN_OPTIONS
        if option.flags[0] not in elsewhere
        and not any(f'"{flag}' in source for flag in option.flags)
    ]
    assert missing == []
