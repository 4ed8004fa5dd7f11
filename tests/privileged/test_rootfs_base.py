"""Programs run in `base` as in a system of their own."""

from __future__ import annotations

import os
import subprocess

import pytest

from isolate.rootfs import prepare

pytestmark = pytest.mark.needs("root")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inside(*argv: str, uid: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program with base as its root directory and nothing of the host's environment."""
    root = prepare("base").layers[0]

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    return subprocess.run(
        argv,
        preexec_fn=enter,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("uid", [0, 1000])
def test_the_shell_and_its_programs_run(uid: int) -> None:
    script = "id -u; ls / | sort | head -n 3; echo a b | awk '{print $2}'"
    done = inside("/bin/sh", "-c", script, uid=uid)
    assert (done.stdout.split(), done.stderr) == ([str(uid), "bin", "dev", "etc", "b"], "")


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("name", ["python3", "python"])
def test_python_runs(name: str, uid: int) -> None:
    code = "import ssl, ctypes, sqlite3, json, bz2, lzma, asyncio, sys; print(sys.prefix)"
    done = inside("/bin/sh", "-c", f"exec {name} -c '{code}'", uid=uid)
    assert (done.stdout, done.stderr) in [("/usr/local\n", ""), ("/usr\n", "")]


def test_every_program_finds_its_libraries() -> None:
    """The loader itself says so: it lists what it would load, and runs nothing."""
    root = prepare("base").layers[0]
    loader = next(
        name
        for name in sorted(os.listdir(f"{root}/lib64") + os.listdir(f"{root}/lib"))
        if name.startswith("ld-")
    )
    where = "/lib64" if os.path.lexists(f"{root}/lib64/{loader}") else "/lib"
    script = f"""
        for file in /usr/bin/* /usr/sbin/* /usr/local/bin/* $(find /usr -name '*.so*' -type f); do
            [ -f "$file" ] || continue
            out=$({where}/{loader} --list "$file" 2>&1) || continue
            case $out in *'not found'*) echo "$file: $out";; *) echo good;; esac
        done | sort | uniq -c
    """
    done = inside("/bin/sh", "-c", script)
    (line,) = done.stdout.splitlines()
    count, word = line.split()
    assert word == "good"
    assert int(count) > 100


def test_names_locale_and_scripts_work() -> None:
    done = inside("/bin/sh", "-c", "getent passwd user; getent group root; which sh")
    user = "user:x:1000:1000:user:/home/user:/bin/sh"
    assert done.stdout.split() == [user, "root:x:0:", "/usr/bin/sh"]
    code = "import locale; print(locale.setlocale(locale.LC_ALL, ''), chr(252))"
    assert inside("python3", "-c", code).stdout == "C.UTF-8 ü\n"


def test_nothing_inside_is_writable_for_users() -> None:
    done = inside("/usr/bin/find", "/", "-xdev", "-not", "-type", "l", "-writable", uid=1000)
    assert sorted(done.stdout.split()) == ["/tmp", "/var/tmp"]
