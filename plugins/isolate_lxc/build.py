"""What LXC is given for one container: its files, its prepared mounts, its command line."""

from __future__ import annotations

import os
import stat

from isolate.errors import SpecError, UnsupportedError
from isolate.linux import mount, resolve
from isolate.native import accounts, detached, mount_steps, mountpoints
from isolate.native.failure import from_child
from isolate.native.half import open_binds
from isolate.native.rootfs_steps import PrivatePropagation
from isolate.native.step import StepError
from isolate.spec import meaning
from isolate_lxc import cgroups, seccomp, steps, targets, translate
from isolate_lxc.monitor import LOG
from isolate_lxc.translate import NULL, PROFILE, STATE, SYS, Choices, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context
    from isolate.native.maps import Maps
    from isolate.native.prepared import Prepared
    from isolate.native.step import Step
    from isolate.spec.model import Spec
    from isolate_lxc.cgroups import Places
    from isolate_lxc.config import Config

CONFIG = "lxc.conf"
_INITS = ("/usr/sbin/init.lxc.static", "/sbin/init.lxc.static")
_PREFIX = "lxc."  # of prepared mounts that are attached on the stage, by their name there


class Build:
    """One container's preparation. `prepared` closes what is opened here."""

    def __init__(self, spec: Spec, context: Context, prepared: Prepared) -> None:
        self.spec = spec
        self.context = context
        self.prepared = prepared
        self._guard: bytes | None = None
        self._names: list[str] = []
        self._sockets: list[str] = []  # to hide, which LXC itself can't

    def prepare(self, places: Places, views: frozenset[str], maps: Maps | None) -> list[str]:
        """Write LXC's files and open its mounts; the arguments for lxc-start.

        Raises IsolateError, OSError.
        """
        spec = self.spec
        root = self._open_mounts(maps)
        self._make_targets(root, maps)
        chosen = Choices(
            places=places,
            views=views,
            maps=maps,
            user=self._user(root, maps),
            hostname=spec.hostname or self.context.id[:64],
            knobs=cgroups.knobs(spec),
            directories={
                name.removeprefix(_PREFIX): stat.S_ISDIR(os.fstat(descriptor).st_mode)
                for name, descriptor in self.prepared.items()
            },
            targets=self._canonical(root),
            masked=self._masked(root),
        )
        if spec.root.readonly:
            mount.mount_setattr("", at=root, set_attributes=mount.MOUNT_ATTR_RDONLY)
        self._stage("root", root)
        if "network" not in views:
            self._stage(SYS, _host_sys())
        if spec.process.terminal:
            self._stage(translate.INIT, _read_only(init_binary() or ""))
        config = translate.configuration(spec, chosen)
        self._write(config)
        return arguments(places.name, config.defines(), spec)

    def _open_mounts(self, maps: Maps | None) -> int:
        """The root, volumes and devices as detached mounts; the root's descriptor."""
        spec = self.spec
        binds = [mount_steps.Bind(asked) for asked in spec.mounts if asked.type == "bind"]
        open_binds(binds, self.prepared)
        root = detached.open_root(self.context, maps, binds, self.prepared)
        for number, asked in enumerate(spec.mounts):
            if asked.type == "bind":
                bind = mount_steps.Bind(asked)
                self._stage(f"mount.{number}", self.prepared[bind.name])
        for number, device in enumerate(spec.devices):
            self._stage(f"device.{number}", _device(device.path))
        self._stage(NULL, _device("/dev/null", os.makedev(1, 3)))
        self._stage(STATE, mount.open_tree_clone(self.context.directory))
        return root

    def _stage(self, name: str, descriptor: int) -> None:
        """Have a detached mount attached for LXC, below that name."""
        self._names.append(name)
        if descriptor not in self.prepared.values():
            self.prepared[_PREFIX + name] = descriptor
        else:  # the root or a volume: opened by a name of its own, and closed once
            self.prepared[_PREFIX + name] = os.dup(descriptor)

    def _make_targets(self, root: int, maps: Maps | None) -> None:
        self._make_below_volumes(maps)
        if self.spec.root.source == "host":
            return  # it is read-only, and has what it has
        inside = set(mountpoints.resolvable(self.spec))
        wanted = [
            (asked.target, self._is_directory(number))
            for number, asked in enumerate(self.spec.mounts)
            if asked.target in inside
        ]
        wanted += [(device.target or device.path, False) for device in self.spec.devices]
        targets.make(root, wanted, maps)

    def _make_below_volumes(self, maps: Maps | None) -> None:
        for number, asked in enumerate(self.spec.mounts):
            above = mountpoints.volume_below(self.spec, number)
            if above is not None:
                volume = self.prepared[f"{_PREFIX}mount.{above}"]
                inside = os.path.relpath(asked.target, self.spec.mounts[above].target)
                targets.make_in_volume(volume, (inside, self._is_directory(number)), maps)

    def _is_directory(self, number: int) -> bool:
        descriptor = self.prepared.get(f"{_PREFIX}mount.{number}")
        return descriptor is None or stat.S_ISDIR(os.fstat(descriptor).st_mode)

    def _canonical(self, root: int) -> dict[str, str]:
        return {
            path: mountpoints.canonical(root, path) for path in mountpoints.resolvable(self.spec)
        }

    def _masked(self, root: int) -> list[tuple[str, bool]]:
        """The spec's own paths to hide, of those that exist: without links, with their kind."""
        found = []
        for path in self.spec.privileges.masked_paths:
            if mountpoints.on_kernel_filesystem(path):
                if os.path.exists(path):
                    found.append((path, os.path.isdir(path)))
                continue
            try:
                descriptor = resolve.open_in_root(root, path, os.O_PATH)
            except (FileNotFoundError, NotADirectoryError):
                continue
            mode = os.fstat(descriptor).st_mode
            os.close(descriptor)
            if stat.S_ISSOCK(mode):
                self._sockets.append(mountpoints.canonical(root, path))
            else:
                found.append((mountpoints.canonical(root, path), stat.S_ISDIR(mode)))
        return found

    def _user(self, root: int, maps: Maps | None) -> User:
        try:
            account = accounts.resolve(root, self.spec.process.user)
        except StepError as error:
            raise from_child("process.resolve_user", 0, str(error), "") from None
        if not translate.mapped(maps, account.uid, account.gid):
            whom = f"{account.uid}:{account.gid} is not in the container's user map"
            raise from_child("process.user", 0, whom, "")
        if account.groups and maps is not None:
            groups = ", ".join(map(str, account.groups))
            raise UnsupportedError(
                f"user {self.spec.process.user} is in the groups {groups} by the root's "
                "/etc/group, and LXC sets no supplementary groups in a user namespace",
                hint=f"to go without them, name the one group: --user {account.uid}:{account.gid}",
            )
        return User(account.uid, account.gid, account.groups, account.home)

    def _write(self, config: Config) -> None:
        asked = meaning.filter_name(self.spec)
        profile = seccomp.profile(asked, meaning.capability_mask(self.spec))
        if profile is not None:
            self._guard = profile.guard
            _write_file(f"{self.context.directory}/{PROFILE}", profile.text)
        _write_file(f"{self.context.directory}/{CONFIG}", config.text())

    def steps(self, argv: list[str], views: frozenset[str], peer: int) -> list[Step]:
        """What LXC's process does before it is LXC; `peer` is its terminal, if any."""
        places = [(_PREFIX + name, name) for name in self._names]
        return [
            PrivatePropagation(),
            steps.Stage(places),
            *([steps.CoverSockets(f"{_PREFIX}root", self._sockets)] if self._sockets else []),
            *([steps.OwnTime()] if "time" in views else []),
            *([steps.Guard(self._guard)] if self._guard is not None else []),
            steps.Become(
                argv,
                self.context.stdio,
                umask=self.spec.process.umask,
                attached=self.context.attached,
                peer=peer,
            ),
        ]


def init_binary() -> str | None:
    """lxc-init, linked statically: it runs in any root. None where it isn't installed."""
    return next((path for path in _INITS if os.access(path, os.X_OK)), None)


def arguments(name: str, defines: list[str], spec: Spec) -> list[str]:
    """The arguments for lxc-start."""
    program = list(spec.process.args)
    if not program:
        raise SpecError("process.args", "no program is given")
    if spec.process.terminal:  # lxc-start leaves it to the program to take the terminal over
        program = [translate.INIT_TARGET, "-n", name, "--", *program]
    state = f"{steps.FILES}/{STATE}"
    where = ["-n", name, "-P", steps.FILES, "-f", f"{state}/{CONFIG}"]
    # Not -o and -l: beside them LXC takes no notice of -q, and writes to the program's stderr.
    told = ["-q", "--define", f"lxc.log.file={state}/{LOG}", "--define", "lxc.log.level=INFO"]
    return ["-F", *where, *told, *defines, "--", *program]


def preview_user(spec: Spec) -> User:
    """Whom the program would run as, without a root to look the name up."""
    name, _, group = (spec.process.user or "0:0").partition(":")
    return User(name, group or "GROUP", (), "HOME")


def _device(path: str, number: int | None = None) -> int:
    try:
        return mount_steps.open_device(path, number)
    except StepError as error:
        raise from_child(f"device.{path}", 0, str(error), "") from None
    except OSError as error:
        raise from_child(f"device.{path}", error.errno or 0, str(error.strerror), path) from None


def _read_only(path: str) -> int:
    """A file of the host that nobody inside can write to, by /proc/1/exe either."""
    made = mount.open_tree_clone(path)
    attributes = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV
    mount.mount_setattr("", at=made, set_attributes=attributes)
    return made


def _host_sys() -> int:
    made = mount.open_tree_clone("/sys", recursive=True)
    attributes = mount.MOUNT_ATTR_RDONLY | mount_steps.SAFE
    mount.mount_setattr("", at=made, set_attributes=attributes, recursive=True)
    return made


def _write_file(path: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


__all__ = ["CONFIG", "Build", "arguments", "init_binary", "preview_user"]
