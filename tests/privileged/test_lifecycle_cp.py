"""`isolate cp`: files, directories and modes; no link leads out of the container's root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from isolate.backend.abilities import OpensRoot
from tests.support.backends import able
from tests.support.detached import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")
every_backend = pytest.mark.parametrize("backend", able(OpensRoot), indirect=True)


def ready(detached: Detached, script: str, *options: str) -> None:
    """A container that has done something and waits."""
    detached.run("one", f"{script}; echo ready; sleep 60", *options)
    until(lambda: detached.logs("one") == "ready\n")


@every_backend
def test_there_and_back(detached: Detached, tmp_path: Path, backend: str) -> None:
    ready(detached, "mkdir /in", f"--backend={backend}")
    source = tmp_path / "tree"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    (source / "deep" / "file").chmod(0o751)
    (source / "link").symlink_to("/etc/passwd")
    (source / "setuid").write_text("")
    (source / "setuid").chmod(0o4755)
    detached("cp", str(source), "one:/in")
    script = "cat /in/tree/deep/file; stat -c ' %a %u' /in/tree/deep/file; readlink /in/tree/link"
    done = detached("exec", "one", "sh", "-c", script)
    assert done.stdout.split() == ["content", "751", "0", "/etc/passwd"]
    detached("cp", "one:/in/tree", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "deep" / "file").read_text() == "content"
    assert (back / "deep" / "file").stat().st_mode & 0o7777 == 0o751
    assert (back / "setuid").stat().st_mode & 0o7777 == 0o755
    assert (back / "setuid").stat().st_uid == 0
    assert os.readlink(back / "link") == "/etc/passwd"


def test_a_file_gets_the_name_it_is_given(detached: Detached, tmp_path: Path) -> None:
    ready(detached, "mkdir /in")
    (tmp_path / "a").write_text("new")
    detached("cp", str(tmp_path / "a"), "one:/in/b")
    detached("cp", "one:/in/b", str(tmp_path / "c"))
    assert (tmp_path / "c").read_text() == "new"


@every_backend
def test_links_inside_lead_nowhere_on_the_host(
    detached: Detached, tmp_path: Path, backend: str
) -> None:
    """CVE-2018-15664."""
    secret = tmp_path / "host"
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("secret")
    links = f"ln -s {secret} /dir; ln -s {secret}/file /file; ln -s ../../../../.. /up"
    ready(detached, links, f"--backend={backend}")
    (tmp_path / "mine").write_text("mine")
    assert detached("cp", str(tmp_path / "mine"), "one:/dir/x", check=False).returncode == 1
    assert detached("cp", "one:/file", str(tmp_path / "got"), check=False).returncode == 1
    detached("cp", str(tmp_path / "mine"), "one:/file")
    detached("cp", str(tmp_path / "mine"), f"one:/up{secret}", check=False)
    detached("cp", str(tmp_path / "mine"), f"one:/proc/1/root{secret}/y", check=False)
    assert sorted(os.listdir(secret)) == ["file"]
    assert (secret / "file").read_text() == "secret"


def test_a_link_swapped_meanwhile_leads_nowhere_either(detached: Detached, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    swap = f"mkdir /a /real; ln -s {host} /link; while :; do mv /a /b; mv /link /a; mv /a /link; "
    detached.run("one", swap + "mv /b /a; done")
    (tmp_path / "mine").write_text("mine")
    for _ in range(15):
        detached("cp", str(tmp_path / "mine"), "one:/a/", check=False)
    assert os.listdir(host) == []


def test_what_is_no_file_is_refused(detached: Detached, tmp_path: Path) -> None:
    ready(detached, "mkfifo /fifo")
    for path in ("/fifo", "/dev/zero"):
        done = detached("cp", f"one:{path}", str(tmp_path / "x"), check=False, timeout=10)
        assert done.returncode == 1
        assert "no file" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", [("a", "b"), ("one:/a", "two:/b"), ("./x:y", "z")])
def test_one_of_the_two_is_in_a_container(detached: Detached, words: tuple[str, str]) -> None:
    done = detached("cp", *words, check=False)
    assert done.returncode == 1
    assert "ID:PATH" in done.stderr
