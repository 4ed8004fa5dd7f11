"""The ordinary users that tests run commands as are what they seem, and the machine has no more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.accounts import Account


def test_ordinary_user_has_no_rights_and_subids(ordinary_user: Account) -> None:
    done = ordinary_user.run("sh", "-c", "id -un; id -u; pwd; grep CapEff /proc/self/status")
    assert done.stderr == ""
    name, uid, directory, capabilities = done.stdout.splitlines()
    assert (name, int(uid)) == (ordinary_user.name, ordinary_user.uid)
    assert Path(directory) == ordinary_user.home
    assert int(capabilities.split()[1], 16) == 0
    mapped = ordinary_user.run("grep", "-c", f"^{name}:{ordinary_user.subids}:", "/etc/subuid")
    assert mapped.stdout.strip() == "1"


@pytest.mark.needs("newuidmap", "userns")
def test_subordinate_ids_can_be_mapped(ordinary_user: Account) -> None:
    unshare = ("unshare", "--user", "--map-users=auto", "--map-groups=auto", "--setuid=0")
    done = ordinary_user.run(*unshare, "--setgid=0", "cat", "/proc/self/uid_map")
    assert done.stderr == ""
    assert [int(field) for field in done.stdout.split()] == [0, ordinary_user.subids, 65536]


def test_plain_user_has_no_subids(plain_user: Account) -> None:
    done = plain_user.run("sh", "-c", "id -un; cat /etc/subuid")
    name, *ranges = done.stdout.splitlines()
    assert name == plain_user.name
    assert not [line for line in ranges if line.startswith(f"{name}:")]


@pytest.mark.needs("root")
def test_the_machines_accounts_are_untouched(ordinary_user: Account) -> None:
    assert ordinary_user.name not in Path("/etc/passwd").read_text()
