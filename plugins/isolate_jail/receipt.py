"""The receipt of a jail: what the kernel says of the first process, against the parameters."""

from __future__ import annotations

import os

from isolate.linux.cgroup import addresses
from isolate.native import limits, receipt
from isolate.native.backend import first_process
from isolate_jail import rights, settings
from isolate_jail.plan import no_new_privileges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Handle, ReceiptRow
    from isolate.spec.model import Spec
    from isolate_jail.parameters import Jail


def rows(spec: Spec, jail: Jail, handle: Handle) -> list[ReceiptRow]:
    """All rows; the process stands ready, confined as the program will be."""
    pid, _start_time = first_process(handle)
    net = settings.network(spec, jail, root=os.geteuid() == 0)
    own = settings.views(spec, jail, net)
    status = receipt.Status(pid)
    mask = rights.capability_mask(spec, jail, shared_network=net.shared)
    found = [
        *receipt.root(pid, readonly=spec.root.readonly, host=spec.root.source == "host"),
        _fence(pid, jail),
        *receipt.views(pid, own),
        status.capabilities(mask),
        status.seccomp("the jail's own"),
    ]
    if "users" in own:
        found.append(receipt.users(pid))
    if "network" in own and not jail["vnet.interface"]:
        found.append(receipt.no_network(pid))
    if net.shared and net.addresses:
        found.append(_addresses(handle, net))
    if no_new_privileges(spec, jail):
        found.append(status.no_new_privileges())
    found += receipt.rlimits(pid, dict(spec.process.rlimits))
    if spec.process.oom_score_adj is not None:
        found.append(receipt.oom_score_adj(pid, spec.process.oom_score_adj))
    return [*found, *limits.receipt(spec, handle)]


def _fence(pid: int, jail: Jail) -> ReceiptRow:
    """With enforce_statfs 2 nothing of the mount table can be seen; else one root is in it."""
    if jail["enforce_statfs"] < 2:
        return receipt.fence(pid)
    source = f"/proc/{pid}/mountinfo"
    with open(source, encoding="utf-8", errors="surrogateescape") as file:
        count = len(file.read().splitlines())
    return receipt.row(
        "root.fence", "no mount to be seen", f"{count} mounts", source, holds=count == 0
    )


def _addresses(handle: Handle, net: settings.Network) -> ReceiptRow:
    group = limits.group_of(handle)
    directory = group.unified if group is not None else None
    holds = directory is not None and addresses.restricted(directory, spare=net.spare)
    return receipt.row(
        "view.network",
        f"{len(net.addresses)} addresses of a shared stack",
        "eBPF programs at bind, connect, sendmsg" if holds else "no eBPF programs",
        str(directory),
        holds=holds,
    )
