"""A spec as an LXC configuration: one page that says how LXC is told to contain a program."""

from __future__ import annotations

import os

from isolate.errors import SpecError, UnsupportedError
from isolate.linux import cgroup, idmap
from isolate.linux.capabilities import to_names
from isolate.native import mountpoints
from isolate.native.process_steps import DEFAULT_PATH
from isolate.spec import defaults, meaning
from isolate_lxc.config import Config
from isolate_lxc.log import STOP_HOOK
from isolate_lxc.steps import FILES, PLACE, ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.maps import Maps
    from isolate.spec.model import Mount, Rlimit, Spec
    from isolate_lxc.cgroups import Places

STATE = "state"  # below FILES: the container's directory
NULL = "null"
SYS = "sys"
PROFILE = "seccomp"
INIT = "init"
INIT_TARGET = "/dev/.lxc-init"
START = "start"  # fifos in the container's directory
READY = "ready"

_NAMESPACES = {
    "mounts": "mnt",
    "pids": "pid",
    "network": "net",
    "ipc": "ipc",
    "hostname": "uts",
    "users": "user",
    "cgroups": "cgroup",
}
_SAFE = ("nosuid", "nodev", "noexec")
_BARRIER = (
    f"/bin/sh -c 'exec 3<>{FILES}/{STATE}/{START}; "
    f"echo $LXC_PID >{FILES}/{STATE}/{READY}; read go <&3'"
)


class User:
    """Whom the program runs as, resolved by the root's own files."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: object, gid: object, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


class Choices:
    """What was decided about a spec on this host; the configuration follows from it and the spec.

    Attributes:
        places: the container's cgroups and LXC's name for it.
        views: the namespaces to make.
        maps: the user namespace's maps; None without one.
        user: whom the program runs as.
        hostname: the host name.
        knobs: the limits, as keys and values.
        directories: of the volumes and devices, by their prepared name, whether it is one.
        targets: the mount points without symbolic links, by the path in the spec.
        masked: further paths to hide, each with whether it is a directory.
    """

    __slots__ = (
        "directories",
        "hostname",
        "knobs",
        "maps",
        "masked",
        "places",
        "targets",
        "user",
        "views",
    )

    def __init__(
        self,
        *,
        places: Places,
        views: frozenset[str],
        maps: Maps | None,
        user: User,
        hostname: str,
        knobs: Sequence[tuple[str, str]],
        directories: dict[str, bool],
        targets: dict[str, str],
        masked: Sequence[tuple[str, bool]],
    ) -> None:
        self.places = places
        self.views = views
        self.maps = maps
        self.user = user
        self.hostname = hostname
        self.knobs = knobs
        self.directories = directories
        self.targets = targets
        self.masked = masked


def configuration(spec: Spec, chosen: Choices) -> Config:
    """The whole configuration. Raises SpecError for what a mount entry can't hold."""
    config = Config()
    _namespaces(config, chosen)
    _root(config)
    _kernel_filesystems(config, spec, chosen)
    try:
        _mounts(config, spec, chosen)
    except ValueError as error:
        raise SpecError("mounts", str(error)) from None
    _cover(config, spec, chosen)
    _cgroups(config, chosen)
    _process(config, spec, chosen)
    _rights(config, spec)
    config.add("lxc.hook.version", 1)
    config.add("lxc.hook.start-host", _BARRIER)
    # Nothing of LXC's is needed once the program has ended. Going on, it would remove the cgroups
    # with the accounts, and start the container again after an end by SIGHUP (reboot(2)).
    config.add("lxc.hook.stop", STOP_HOOK)
    return config


def _namespaces(config: Config, chosen: Choices) -> None:
    names = [_NAMESPACES[view] for view in sorted(chosen.views | {"pids"}) if view in _NAMESPACES]
    config.add("lxc.namespace.clone", " ".join(names))
    if chosen.maps is not None:
        for kind, ranges in (("u", chosen.maps.uids), ("g", chosen.maps.gids)):
            for inside, outside, count in ranges:
                config.add("lxc.idmap", f"{kind} {inside} {outside} {count}")
    if "hostname" in chosen.views:
        config.add("lxc.uts.name", chosen.hostname)
    if "network" in chosen.views:
        config.add("lxc.net.0.type", "empty")
        config.add("lxc.net.0.flags", "up")  # the loopback
    else:
        config.add("lxc.net.0.type", "none")


def _root(config: Config) -> None:
    config.add("lxc.rootfs.path", f"dir:{FILES}/{ROOT}")
    config.add("lxc.rootfs.mount", f"{FILES}/{PLACE}")


def _kernel_filesystems(config: Config, spec: Spec, chosen: Choices) -> None:
    own_sys = "network" in chosen.views  # sysfs shows a network namespace: it must be ours
    config.add("lxc.mount.auto", "proc:rw sys:ro" if own_sys else "proc:rw")
    if cgroup.discover().mode == "v2" and "cgroups" in chosen.views:
        config.add("lxc.mount.auto", "cgroup:ro")
    if not own_sys:
        config.add_mount(f"{FILES}/{SYS}", "/sys", "none", "rbind")
    config.add("lxc.autodev", 1)
    config.add("lxc.autodev.tmpfs.size", defaults.DEV_BYTES)
    config.add("lxc.pty.max", 1024)
    config.add("lxc.tty.max", 0)
    if spec.process.terminal:
        config.add_mount(f"{FILES}/{INIT}", INIT_TARGET, "none", "bind", "create=file")
    else:
        config.add("lxc.console.path", "none")
    shm = (f"size={defaults.SHM_BYTES}", "mode=1777", "create=dir")
    config.add_mount("tmpfs", "/dev/shm", "tmpfs", *_SAFE, *shm)
    if "ipc" in chosen.views:
        config.add_mount("mqueue", "/dev/mqueue", "mqueue", *_SAFE, "create=dir")


def _mounts(config: Config, spec: Spec, chosen: Choices) -> None:
    if spec.root.source == "host":
        for path, mode in defaults.HIDDEN_OF_HOST:
            config.add_mount("tmpfs", path, "tmpfs", *_SAFE, f"mode={mode}")
    for number, asked in enumerate(spec.mounts):
        # LXC would make it by its path, through whatever links a volume holds: build.py does.
        made = mountpoints.volume_below(spec, number) is not None
        _mount(config, asked, chosen, f"mount.{number}", made=made)
    for number, device in enumerate(spec.devices):
        target = chosen.targets.get(path := device.target or device.path, path)
        config.add_mount(
            f"{FILES}/device.{number}", target, "none", "bind", "create=file", "nosuid", "noexec"
        )


def _mount(config: Config, asked: Mount, chosen: Choices, name: str, *, made: bool) -> None:
    target = chosen.targets.get(asked.target, asked.target)
    flags = [
        word
        for word, wanted in (
            ("ro", asked.readonly),
            ("nosuid", not asked.suid),
            ("nodev", not asked.dev),
            ("noexec", not asked.exec),
        )
        if wanted
    ]
    if asked.type == "bind":
        kind = "dir" if chosen.directories.get(name, True) else "file"
        # Its flags are on the prepared mount, where they reach what is mounted below too.
        create = () if made else (f"create={kind}",)
        config.add_mount(f"{FILES}/{name}", target, "none", "rbind", *create)
        return
    if asked.type == "tmpfs":
        flags.append(f"mode={0o1777 if asked.mode is None else asked.mode:04o}")
        flags += [f"size={asked.size}"] if asked.size is not None else []
    fstype = "cgroup2" if asked.type == "cgroup" else asked.type
    config.add_mount(fstype, target, fstype, *flags, *(() if made else ("create=dir",)))


def _cover(config: Config, spec: Spec, chosen: Choices) -> None:
    """Read-only first: such a copy of a tree must not show what a mask hides. No entry is
    `optional`, as that would forgive every failure: only what exists is listed."""
    usual: list[tuple[str, bool]] = []
    if not (spec.privileges.privileged or spec.privileges.unmask):
        for path in filter(os.path.exists, defaults.READONLY_PATHS):
            config.add_mount(path.lstrip("/"), path, "none", "bind", "relative", "ro", *_SAFE)
        usual = [
            (path, os.path.isdir(path)) for path in defaults.MASKED_PATHS if os.path.exists(path)
        ]
    for path, directory in (*usual, *chosen.masked):
        if directory:
            config.add_mount("tmpfs", path, "tmpfs", "ro", *_SAFE, "mode=0555", "nr_inodes=1")
        else:
            config.add_mount(f"{FILES}/{NULL}", path, "none", "bind")


def _cgroups(config: Config, chosen: Choices) -> None:
    config.add("lxc.cgroup.relative", 1)
    config.add("lxc.cgroup.dir.container", chosen.places.name)
    config.add("lxc.cgroup.dir.monitor", chosen.places.monitor_name)
    for key, value in chosen.knobs:
        config.add(key, value)


def _process(config: Config, spec: Spec, chosen: Choices) -> None:
    process, user = spec.process, chosen.user
    config.add("lxc.init.cwd", process.cwd)
    config.add("lxc.init.uid", user.uid)
    config.add("lxc.init.gid", user.gid)
    if user.groups:  # without a user namespace only: in one LXC drops them all
        config.add("lxc.init.groups", ",".join(map(str, user.groups)))
    for name, value in environment(spec, user.home).items():
        config.add("lxc.environment", f"{name}={value}")
    for name, limit in process.rlimits.items():
        config.add(f"lxc.prlimit.{name}", _rlimit(limit))
    if process.oom_score_adj is not None:
        config.add("lxc.proc.oom_score_adj", process.oom_score_adj)


def environment(spec: Spec, home: str) -> dict[str, str]:
    """The program's variables. LXC adds `container=lxc`."""
    usual = {"PATH": DEFAULT_PATH, "HOME": home}
    usual |= {"TERM": "xterm"} if spec.process.terminal else {}
    return {**usual, **spec.process.env}


def _rlimit(limit: Rlimit) -> str:
    words = ["unlimited" if value == -1 else str(value) for value in (limit.soft, limit.hard)]
    return ":".join(words)


def _rights(config: Config, spec: Spec) -> None:
    names = to_names(meaning.capability_mask(spec))
    config.add("lxc.cap.keep", " ".join(name[4:].lower() for name in names) or "none")
    config.add("lxc.keyring.session", 1)
    # An ending program may not outlive LXC's process: nobody else could tell how it ended.
    config.add("lxc.monitor.signal.pdeath", "SIGKILL")
    if meaning.no_new_privileges(spec):
        config.add("lxc.no_new_privs", 1)
    if meaning.filter_name(spec) != meaning.UNCONFINED:
        config.add("lxc.seccomp.profile", f"{FILES}/{STATE}/{PROFILE}")
        config.add("lxc.seccomp.allow_nesting", 1)  # else the guard would stand alone
    if not os.path.isdir("/sys/kernel/security/apparmor"):
        config.add("lxc.apparmor.profile", "unconfined")


def refuse_impossible(spec: Spec, views: frozenset[str]) -> None:
    """Refuse what would reach the host or hide the container's own proc.

    Raises SpecError, UnsupportedError.
    """
    for number, asked in enumerate(spec.mounts):
        if f"{asked.target.rstrip('/')}/".startswith("/proc/"):
            raise SpecError(f"mounts[{number}].target", "nothing may be mounted on /proc")
    for key in spec.sysctl:
        view = "network" if key.startswith("net") else "ipc"
        if view not in views:
            raise UnsupportedError(f"{key} is the host's own without a private {view} view")


def mapped(maps: Maps | None, uid: int, gid: int) -> bool:
    """Whether both ids are the container's."""
    if maps is None:
        return True
    return idmap.outside(maps.uids, uid) is not None and idmap.outside(maps.gids, gid) is not None
