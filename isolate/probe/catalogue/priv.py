"""Probes of privileges: what the program may do, and what its launcher has left in its hands."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from isolate.errors import IsolateError
from isolate.linux import capabilities
from isolate.probe import outside
from isolate.probe.catalogue.fs import plant_file
from isolate.probe.catalogue.net import Listener
from isolate.probe.conversation import converse, leaked_directory
from isolate.probe.judge import found_token, judged
from isolate.probe.model import LiveProbe, Outcome, Planted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.probe.conversation import Inside
    from isolate.probe.model import Answer, Scene

_PRIVILEGES = "isolate.probe.inside.privileges"
_DEFAULT_USERS = "Leave users private, the default, or drop what it doesn't need: --cap-drop."
_WRITABLE = ("/", "/var/tmp", "/root", "/tmp", "/dev/shm")  # noqa: S108 - places to try
_LEFT_BEHIND = "Start isolate without it, or use another backend: this one passes on what it has."

# What Docker leaves a container by default.
_DOCKER = capabilities.to_mask(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
        "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
    ).split()
)


class _Status(LiveProbe):
    """Look at the kernel's record of the process, from the host."""

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        pid = inside.driver()
        if pid is None:
            return Outcome(
                reached=False, evidence="no process of the host's runs it: a kernel of its own"
            )
        return self.judge(pid, outside.status(pid))

    def judge(self, pid: int, status: dict[str, str]) -> Outcome:
        """Judge by its status on the host."""
        raise NotImplementedError


class Capabilities(_Status):
    """Look at the effective and the bounding set, and over whom they hold."""

    meaning = "The program has rights over the host's kernel beyond those of Docker's containers."
    remedy = _DEFAULT_USERS
    feature = "privileges.capabilities"

    def judge(self, pid: int, status: dict[str, str]) -> Outcome:
        effective, bounding = (int(status[name], 16) for name in ("CapEff", "CapBnd"))
        beyond = capabilities.to_names((effective | bounding) & ~_DOCKER)
        own = outside.namespace(pid, "user") != outside.namespace("self", "user")
        names = ", ".join(beyond[:6]) + (f" and {len(beyond) - 6} more" if beyond[6:] else "")
        evidence = (
            f"CapEff {effective:#x}, CapBnd {bounding:#x}, beyond Docker's default: "
            f"{names or 'none'}; over {'a user namespace of its own' if own else 'the host'}"
        )
        return Outcome(reached=bool(beyond) and not own, evidence=evidence)


class Seccomp(_Status):
    """Look for a system call filter."""

    meaning = "The program may make every system call of the kernel."
    remedy = "Keep the system call filter: --seccomp=default."
    feature = "privileges.seccomp"

    def judge(self, pid: int, status: dict[str, str]) -> Outcome:
        mode = status.get("Seccomp", "0")
        words = {"0": "none", "1": "strict", "2": "a filter"}.get(mode, mode)
        return Outcome(reached=mode == "0", evidence=f"Seccomp of the process: {mode} ({words})")


class Lsm(_Status):
    """Look at the label of AppArmor or SELinux."""

    meaning = "No AppArmor profile or SELinux label confines the program."
    remedy = "Name one in the spec: privileges.lsm_label."
    feature = "privileges.lsm_label"
    file: ClassVar[str] = "attr/current"  # below /proc/PID

    def judge(self, pid: int, status: dict[str, str]) -> Outcome:
        try:
            label, own = (_label(each, self.file) for each in (pid, "self"))
        except OSError as error:
            words = os.strerror(error.errno or 0)
            return Outcome(reached=False, evidence=f"this host has no labels: {words}")
        free = label == own or label.startswith("unconfined")
        return Outcome(reached=free, evidence=f"label of the process: {label}")


def _label(pid: int | str, name: str) -> str:
    with open(f"/proc/{pid}/{name}", errors="replace") as file:
        return " ".join(file.read().rstrip("\0").split())


class NoNewPrivileges(LiveProbe):
    """Execute a set-uid file of another user's: the host looks who it is then."""

    meaning = (
        "A set-uid program in the image or in a volume gives the program another user's rights."
    )
    remedy = "Keep no_new_privileges, the default of most backends."
    feature = "privileges.no_new_privileges"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with inside.hold(
            f"{_PRIVILEGES}:exec_set_uid",
            directories=[scene.directory, *_WRITABLE],
            token=scene.token,
        ) as answer:
            canary = [pid for pid in outside.pids() if _is_called(pid, scene.token)]
            driver = inside.driver()
            users = [_effective_user(pid) for pid in (driver, *canary) if pid is not None]
            flag = outside.status(driver).get("NoNewPrivs") if driver is not None else None
        seen = f"NoNewPrivs {flag}" if flag else "no process of the host's runs it"
        if driver is not None and canary:
            seen += f"; its user on the host was {users[0]}, and then {users[1]}"
            return judged(answer, "execute a set-uid file", reached=users[0] != users[1], seen=seen)
        if flag != "1" and not inside.own_kernel:
            return Outcome.unclear(f"execute a set-uid file: {answer}; {seen}")
        return judged(answer, "execute a set-uid file", reached=False, seen=seen)


def _is_called(pid: int, token: str) -> bool:
    return outside.command_line(pid) == token.encode() + b"\0"


def _effective_user(pid: int) -> int:
    return int(outside.status(pid)["Uid"].split()[1])


class UidMap(LiveProbe):
    """Make a file: the host looks whose it is."""

    meaning = "Root inside is root outside: what gets out has every right."
    remedy = _DEFAULT_USERS
    feature = "view.users"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with inside.hold(
            f"{_PRIVILEGES}:new_file", directories=[scene.directory, *_WRITABLE], token=scene.token
        ) as answer:
            owner = outside.owner_of(inside.processes(), f"{scene.token}-new")
        if owner is None and answer.fault is None and not inside.own_kernel:
            return Outcome.unclear(f"make a file: {answer}; the host doesn't see it")
        seen = f"its owner on the host is {owner}" if owner is not None else ""
        return judged(answer, "make a file", reached=owner == 0, seen=seen)


class _Careless(LiveProbe):
    """Use what a careless launcher has left, in the container's program and in an executed one."""

    attempt: str
    tried: str

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        path = plant_file(scene)
        outcomes = []
        for where, answer in self._answers(inside, **self.arguments(scene, path)):
            outcome = found_token(scene, answer, f"{where}: {self.tried}")
            if outcome.reached:
                return outcome
            outcomes.append(outcome)
        unclear = any(outcome.reached is None for outcome in outcomes)
        evidence = "; ".join(outcome.evidence for outcome in outcomes)
        return Outcome(reached=None if unclear else False, evidence=evidence)

    def arguments(self, scene: Scene, path: str) -> dict[str, Any]:
        """What the attempt is told."""
        return {}

    def _answers(self, inside: Inside, **arguments: Any) -> Iterator[tuple[str, Answer]]:
        yield "program", inside.call(self.attempt, **arguments)
        further = inside.executed()
        if further is not None:
            yield "exec", further.call(self.attempt, **arguments)


class FdLeak(_Careless):
    """Look for a directory of the host's among the open descriptors."""

    meaning = "A descriptor that isolate was started with leads out of the root."
    remedy = _LEFT_BEHIND
    attempt = f"{_PRIVILEGES}:leaked"
    tried = "read a token through open descriptors"


class Cwd(_Careless):
    """Climb to the host from the working directory."""

    meaning = "The working directory lies on the host, and `..` leads to all of it."
    remedy = _LEFT_BEHIND
    feature = "root.fence"
    attempt = f"{_PRIVILEGES}:climbed"
    tried = "climb from the working directory"

    def arguments(self, scene: Scene, path: str) -> dict[str, Any]:
        return {"path": path}

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        outcome = super().look(scene, inside)
        if outcome.reached is not False or not scene.subject.contains:
            return outcome
        return _through_descriptor(scene, outcome, self.attempt)


def _through_descriptor(scene: Scene, so_far: Outcome, attempt: str) -> Outcome:
    """The same from a working directory that the spec names by a leaked descriptor."""
    with leaked_directory(scene) as leak:
        cwd = f"/proc/self/fd/{leak}"
        try:
            with converse(scene, {"process": {"cwd": cwd}}, careless=leak) as inside:
                answer = inside.call(attempt, path=f"{scene.directory}/token")
        except IsolateError as error:
            refused = f"process.cwd={cwd}: {error}"
            return Outcome(reached=False, evidence=f"{so_far.evidence}; {refused}")
    return found_token(scene, answer, f"climb from process.cwd={cwd}")


class Env(LiveProbe):
    """Look for a variable of the launcher's in the environments of processes."""

    meaning = "Secrets in the environment of whoever starts isolate are readable inside."
    remedy = _LEFT_BEHIND

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        attempt = f"{_PRIVILEGES}:environments"
        answers = [inside.call(attempt, token=scene.token)]
        further = inside.executed()
        answers += [further.call(attempt, token=scene.token)] if further is not None else []
        having = [name for answer in answers for name in answer.value or ()]
        tried = "look for a variable in environments"
        if having:  # it is the launcher's, whichever kernel shows it
            evidence = f"{tried}: it is in {len(having)}, as of process {having[0]}"
            return Outcome(reached=True, evidence=evidence)
        worst = next((answer for answer in answers if answer.fault is not None), answers[0])
        return judged(worst, tried, reached=False, told="in none")


class RuntimeExe(LiveProbe):
    """Open the executables of the processes that appear while something is executed inside."""

    meaning = "The program overwrites the runtime, which the host then runs as root."
    remedy = "Use a runtime that isn't visible inside, or that executes from a sealed copy."

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        pause = [*scene.subject.python(), "-c", "import time; time.sleep(0.1)", scene.token]
        command = scene.subject.further(inside.name, pause)
        if command is None:
            return Outcome(reached=False, evidence="nothing can be executed in its containers")
        runtime = outside.Executables(command, but=pause)
        try:
            answer = inside.call(f"{_PRIVILEGES}:watch_executables", seconds=10, token=scene.token)
        finally:
            runtime.join()
        rows = answer.value or ()
        taken = [
            row["path"]
            for row in rows
            if row["result"] in ("opened", "ETXTBSY")
            and (row["device"], row["inode"]) in runtime.identities
        ]
        told = ", ".join(f"{row['path'] or 'one'}: {row['result']}" for row in rows)
        if not rows:
            return Outcome.unclear(f"watch what is executed: {answer}; {runtime.words}")
        return judged(
            answer,
            "open what is executed for writing",
            reached=bool(taken),
            told=told,
            seen=f"of the runtime's: {', '.join(taken) or 'none'}",
        )


class RuntimeSocket(Listener):
    """Connect to a Unix socket of the host's by its path, as those of container runtimes are."""

    meaning = "The program commands the container runtime, and so the host."
    remedy = "Don't mount the directory of the runtime's socket into containers."
    feature = "root"
    attempt = "isolate.probe.inside.network:connect_path"
    family = socket.AF_UNIX

    def plant(self, scene: Scene) -> Planted:
        path = f"{scene.directory}/runtime.sock"
        self.listen(scene, path)
        os.chmod(path, 0o666)  # noqa: S103 - whoever reaches it may use it
        os.chmod(scene.directory, 0o755)  # noqa: S103
        return Planted(path=path, token=scene.token)

    @property
    def tried(self) -> str:
        return "connect to a socket of the host's by its path"
