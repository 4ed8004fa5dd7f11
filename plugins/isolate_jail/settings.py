"""From a spec and its jail parameters to what is decided: network, views, mounts, the program."""

from __future__ import annotations

import os

from isolate.errors import SpecError, UnsupportedError
from isolate.native import lsm
from isolate.native.views import supported
from isolate.spec import meaning
from isolate_jail import fstab, parameters
from isolate_jail.kinds import split_address
from isolate_jail.parameters import FAMILIES, PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.spec.model import Spec
    from isolate_jail.parameters import Jail

_SIZES = {"ip4": 4, "ip6": 16}
_KINDS = tuple(name for name in parameters.TABLE if name.startswith("allow.mount."))
_PASSED_ON = ("HOME", "SHELL", "TERM", "USER")


class Network:
    """How a jail sees the network.

    Attributes:
        shared: whether it is on the host's network stack.
        disabled: the families (`ip4`, `ip6`) whose sockets are refused.
        addresses: the jail's own, packed.
        spare: of a shared stack the families that may use every address, by the bytes of one.
    """

    __slots__ = ("addresses", "disabled", "shared", "spare")

    def __init__(
        self,
        *,
        shared: bool,
        disabled: frozenset[str],
        addresses: tuple[bytes, ...],
        spare: frozenset[int],
    ) -> None:
        self.shared = shared
        self.disabled = disabled
        self.addresses = addresses
        self.spare = spare


def network(spec: Spec, jail: Jail, *, root: bool) -> Network:
    """Shared stack or an own one, by the parameters. Raises SpecError for contradictions."""
    modes = {family: _mode(spec, jail, family) for family in FAMILIES}
    addresses = [(family, packed) for family in FAMILIES for packed in _packed(jail, family)]
    inherits = "inherit" in modes.values()
    if jail["vnet"] == "new" and (inherits or addresses):
        raise SpecError(f"{PATH}.vnet", "an own network has neither inherited nor given addresses")
    shared = inherits or bool(addresses and root)
    if shared and spec.network.mode == "none":
        raise SpecError("network.mode", "none contradicts the jail's addresses")
    own = {family for family, _packed in addresses}
    unused = {name for name, mode in modes.items() if mode != "inherit" and name not in own}
    disabled = {name for name, mode in modes.items() if mode == "disable"}
    return Network(
        shared=shared,
        disabled=frozenset(disabled | (unused if shared else set())),
        addresses=tuple(packed for _family, packed in addresses),
        spare=frozenset(_SIZES[name] for name, mode in modes.items() if name not in own),
    )


def _mode(spec: Spec, jail: Jail, family: str) -> str:
    if jail[family] is not None:
        return str(jail[family])
    return "inherit" if spec.network.mode == "host" else "new"


def _packed(jail: Jail, family: str) -> list[bytes]:
    import _socket

    texts = jail[f"{family}.addr"]
    return [_socket.inet_pton(FAMILIES[family], split_address(text)[1]) for text in texts]


def resolved(jail: Jail) -> dict[str, list[str]]:
    """With `ip_hostname` the addresses that the host name has just now, behind those given; by
    the parameters that hold them. Raises SpecError where it has none."""
    if not jail["ip_hostname"]:
        return {}
    name = jail["host.hostname"]
    if not name:
        raise SpecError(f"{PATH}.ip_hostname", "needs host.hostname")
    wanted = [family for family in FAMILIES if jail[family] not in ("disable", "inherit")]
    found = {family: _looked_up(name, FAMILIES[family]) for family in wanted}
    if not any(found.values()):
        raise SpecError(f"{PATH}.ip_hostname", f"the host finds no address of {name}")
    return {
        f"{family}.addr": list(dict.fromkeys([*jail[f"{family}.addr"], *texts]))
        for family, texts in found.items()
        if texts
    }


def _looked_up(name: str, family: int) -> list[str]:
    import _socket

    try:
        rows = _socket.getaddrinfo(name, None, family)
    except OSError:
        return []
    return list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))


def views(spec: Spec, jail: Jail, net: Network) -> frozenset[str]:
    """The namespaces to make: all that the parameters don't share, for a jail is no choice of
    views. Raises SpecError where System V kinds can't be told apart."""
    chosen = set(supported()) | {"mounts", "pids"}
    if spec.privileges.users == "host":
        chosen.discard("users")
    if net.shared:
        chosen.discard("network")
    if jail["host"] == "inherit":
        chosen.discard("hostname")
    kinds = {jail[name] for name in ("sysvmsg", "sysvsem", "sysvshm")}
    if kinds >= {"inherit", "new"}:
        raise SpecError(f"{PATH}.sysvmsg", "one IPC namespace holds all three: inherit or new")
    if not jail["mount.procfs"]:
        chosen.discard("time")  # its clocks are set by /proc/self/timens_offsets
    if "inherit" in kinds:
        chosen.discard("ipc")
    return frozenset(chosen)


def hostname(spec: Spec, jail: Jail, id: str) -> str:
    """The jail's host name. Raises SpecError where two are given."""
    said = jail["host.hostname"]
    if said and spec.hostname and said != spec.hostname:
        raise SpecError(f"{PATH}.host.hostname", f"contradicts hostname = {spec.hostname}")
    if said and (len(os.fsencode(said)) > 64 or not said.isprintable()):
        raise SpecError(f"{PATH}.host.hostname", "is no host name")
    return str(said or spec.hostname or id[:64])


def bound_files(jail: Jail) -> list[tuple[str, bytes]]:
    """Files that tell the jail who it is. Raises SpecError."""
    files = []
    if jail["host.hostuuid"]:
        digits = str(jail["host.hostuuid"]).replace("-", "").lower()
        if len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):
            raise SpecError(f"{PATH}.host.hostuuid", "is no UUID")
        files.append(("/etc/machine-id", f"{digits}\n".encode()))
    if jail["host.hostid"] is not None:
        files.append(("/etc/hostid", int(jail["host.hostid"]).to_bytes(4, "little")))
    return files


def refuse(spec: Spec, jail: Jail, *, root: bool) -> None:
    """Refuse what can't be honoured, before anything is made."""
    if not root:
        _refuse_roots_own(jail)
    if spec.privileges.seccomp == meaning.UNCONFINED:
        raise UnsupportedError(
            "a jail is made of its filter: there is none without",
            hint="switch on what is missing by allow.*, or use another backend",
        )
    if jail["path"] and jail["path"] != root_path(spec):
        raise SpecError(f"{PATH}.path", "is not the root", hint=f"--rootfs {jail['path']}")
    if not (spec.process.args or jail["persist"] or jail["command"] or jail["exec.start"]):
        raise SpecError(
            f"{PATH}.persist", "a jail has a program, or persists", hint="give command or persist"
        )
    _refuse_absent(spec, jail)
    _refuse_mounting(jail)


def root_path(spec: Spec) -> str:
    """The root's directory as users write it; of another kind of root, its name."""
    return str(spec.root.source).removeprefix("dir:")


def _refuse_roots_own(jail: Jail) -> None:
    for name, parameter in parameters.TABLE.items():
        if parameter.mark == parameters.ROOT and jail.says(name) and jail[name]:
            raise UnsupportedError(f"{PATH}.{name} needs root", hint=parameter.how)
    for family in FAMILIES:
        if any(split_address(text)[0] for text in jail[f"{family}.addr"]):
            raise UnsupportedError(
                f"{PATH}.{family}.addr: an interface's alias needs root", hint="give the address"
            )


def _refuse_absent(spec: Spec, jail: Jail) -> None:
    """What the table has, and this host or Linux hasn't."""
    if jail["mac.label"] and not lsm.promised():
        raise UnsupportedError(
            f"{PATH}.mac.label: this host has neither AppArmor nor SELinux",
            hint="leave it out, or boot with one of them in lsm=",
        )
    label = spec.privileges.lsm_label
    if jail["mac.label"] and label not in (None, jail["mac.label"]):
        raise SpecError(f"{PATH}.mac.label", f"contradicts lsm_label = {label}")
    if jail["devfs_ruleset"] not in (0, 4):
        raise UnsupportedError(f"{PATH}.devfs_ruleset: there are 0 and 4 here", hint="use 4")
    if not jail["mount.fdescfs"]:
        raise UnsupportedError(f"{PATH}.mount.fdescfs is always on", hint="leave it out")


def _refuse_mounting(jail: Jail) -> None:
    kinds = [name for name in _KINDS if jail[name]]
    if (jail["allow.mount"] or kinds) and jail["enforce_statfs"] > 1:
        raise SpecError(
            f"{PATH}.allow.mount", "needs enforce_statfs below 2", hint="set enforce_statfs=1"
        )
    if kinds and not jail["allow.mount"]:
        raise SpecError(f"{PATH}.{kinds[0]}", "is allowed together with allow.mount only")
    off = [name for name in _KINDS if jail.says(name) and not jail[name]]
    if jail["allow.mount"] and off:
        raise UnsupportedError(
            f"{PATH}.{off[0]} can't be off beside allow.mount",
            hint="no filter of system calls tells kinds of filesystems apart",
        )
    if jail["allow.mount"] and not jail["allow.suser"]:
        raise SpecError(f"{PATH}.allow.mount", "mounting needs allow.suser")


def completed(spec: Spec, jail: Jail) -> Spec:
    """The spec with what the jail's parameters say of fields that it has itself."""
    process, limits = spec.process, spec.limits
    changed: dict[str, Any] = {"args": program(spec, jail)}
    if process.user is None and jail["exec.jail_user"]:
        changed["user"] = _user(jail)
    if not jail["exec.clean"]:
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        changed["env"] = {**inherited, **process.env}
    if jail["cpuset.id"]:
        limits = limits.replace(cpuset=jail["cpuset.id"])
    privileges = spec.privileges
    if jail["mac.label"]:
        privileges = privileges.replace(lsm_label=jail["mac.label"])
    mounts = (*spec.mounts, *fstab.mounts(jail, root_path(spec)))
    return spec.replace(
        process=process.replace(**changed), limits=limits, mounts=mounts, privileges=privileges
    )


def _user(jail: Jail) -> str:
    name = str(jail["exec.jail_user"])
    if not jail["exec.system_jail_user"]:
        return name
    import pwd

    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise SpecError(f"{PATH}.exec.jail_user", f"the host has no user {name!r}") from None
    return f"{found.pw_uid}:{found.pw_gid}"


def program(spec: Spec, jail: Jail) -> tuple[str, ...]:
    """The program, with exec.start before it; each by a shell. Empty where only a hold is asked."""
    args = tuple(spec.process.args)
    if not args and jail["command"]:
        args = ("/bin/sh", "-c", " ".join(jail["command"]))
    if not jail["exec.start"]:
        return args
    limit = f"timeout -s KILL {jail['exec.timeout']} " if jail["exec.timeout"] else ""
    lines = [f"{limit}/bin/sh -c {_quoted(text)} || exit" for text in jail["exec.start"]]
    if args:
        lines.append('exec "$@"')
    return ("/bin/sh", "-c", "\n".join(lines), "jail", *args)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
