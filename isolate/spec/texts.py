"""The kinds of strings that a spec holds: what each accepts, and the same as a pattern.

A pattern is for JSON Schema (ECMA-262, so without Python's extensions); the accept function
decides. Tests hold the two together.
"""

from __future__ import annotations

from isolate.linux.names import CAPABILITIES
from isolate.spec.kinds import Text, words

UID_MAX = 2**32 - 2  # (uid_t)-1 means "unchanged" to setresuid(2)

# Kernel parameters that belong to the IPC namespace (ipc/ipc_sysctl.c); those of POSIX message
# queues are all below fs.mqueue, those of the network namespace below net.
IPC_SYSCTLS = (
    *("msg_next_id", "msgmax", "msgmnb", "msgmni", "sem", "sem_next_id"),
    *("shm_next_id", "shm_rmid_forced", "shmall", "shmmax", "shmmni"),
)
_ASCII_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_ACCOUNT = _ASCII_WORD | {"-", "."}


def _is_absolute(text: str) -> bool:
    return text.startswith("/")


def _is_inside(text: str) -> bool:
    return _is_absolute(text) and ".." not in text.split("/")


def _is_source(text: str) -> bool:
    scheme, _, rest = text.partition(":")
    return (
        text in ("base", "host")
        or text[:1] in ("/", ".")
        or (scheme in ("dir", "tar") and rest != "")
    )


def _is_label(text: str) -> bool:
    return text != "" and text.isprintable()


def _is_env_name(text: str) -> bool:
    return _is_label(text) and "=" not in text


def _is_hostname(text: str) -> bool:
    return text[:1] not in ("", "-") and _ACCOUNT.issuperset(text)


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _is_cpuset(text: str) -> bool:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not _is_number(first, 5) or (dash and not _is_number(last, 5)):
            return False
        if dash and int(first) > int(last):
            return False
    return True


def _is_id(text: str) -> bool:
    leading_zero = text[:1] == "0" and text != "0"  # 010 is 8 to some and 10 to others
    return _is_number(text, 10) and not leading_zero and int(text) <= UID_MAX


def _is_account(text: str) -> bool:
    name = text.removesuffix("$")  # useradd(8) allows it at the end, for Samba's machine accounts
    return name[:1] not in ("", "-", ".") and _ACCOUNT.issuperset(name) and not text.isdigit()


def _is_user(text: str) -> bool:
    parts = text.split(":")
    return len(parts) <= 2 and all(_is_id(part) or _is_account(part) for part in parts)


def sysctl_path(name: str) -> str:
    """The file of a kernel parameter, below /proc/sys.

    As in sysctl(8) the first separator decides: in `net.ipv4.conf.eth0/1.forwarding` and in
    `net/ipv4/conf/eth0.1/forwarding` the interface is eth0.1.
    """
    if "/" in name.partition(".")[0]:
        return name
    return name.translate({ord("."): "/", ord("/"): "."})


def _is_sysctl(name: str) -> bool:
    parts = name.replace("/", ".").split(".")
    if not all(part and (_ASCII_WORD | {"-"}).issuperset(part) for part in parts):
        return False  # an empty part may become `..`; `+` joins parameters (CVE-2022-0811)
    head, _, rest = sysctl_path(name).partition("/")
    if head == "kernel":
        return rest in IPC_SYSCTLS
    return (head == "net" and rest != "") or (head == "fs" and rest.startswith("mqueue/"))


def _is_sysctl_value(text: str) -> bool:
    return all(" " <= char <= "~" or char == "\t" for char in text) and "+" not in text


def _is_device_number(text: str) -> bool:
    major, _, minor = text.partition(":")
    return _is_number(major, 7) and _is_number(minor, 7)


def _is_io_device(text: str) -> bool:
    return _is_inside(text) or _is_device_number(text)


_PATH_MAX = 4095  # PATH_MAX less its NUL, in bytes
_NO_PARENT = r"(?!([^\u0000]*/)?\.\.(/|$))"
_LABEL = r"[^\u0000-\u001f\u007f-\u009f]+"
_USER = r"((0|[1-9][0-9]{0,9})|(?![0-9]+(:|$))[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)"
_CPUS = r"[0-9]{1,5}(-[0-9]{1,5})?"

ABSOLUTE = Text("an absolute path", accept=_is_absolute, limit=_PATH_MAX, pattern=r"^/[^\u0000]*$")
INSIDE = Text(
    "an absolute path without '..'",
    accept=_is_inside,
    limit=_PATH_MAX,
    pattern=rf"^/{_NO_PARENT}[^\u0000]*$",
)
CAPABILITY = words(CAPABILITIES, "a capability of capabilities(7), such as CAP_NET_BIND_SERVICE")
ENV_NAME = Text(
    "a printable name without '='",
    accept=_is_env_name,
    pattern=r"^[^=\u0000-\u001f\u007f-\u009f]+$",
)
SYSCTL = Text(
    "a kernel parameter of the container's own namespaces: kernel.shm*, kernel.msg*, kernel.sem, "
    "fs.mqueue.*, net.* (for kernel.hostname: hostname)",
    accept=_is_sysctl,
    limit=256,
    pattern=rf"^(kernel[./]({'|'.join(IPC_SYSCTLS)})"
    r"|fs(\.mqueue\.|/mqueue/)[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*"
    r"|net([./][A-Za-z0-9_-]+)+)$",
)
SYSCTL_VALUE = Text(
    "one line of ASCII without '+'",
    accept=_is_sysctl_value,
    limit=4096,
    pattern=r"^[\u0009\u0020-\u002a\u002c-\u007e]*$",
)

USER = Text(
    "USER or USER:GROUP, each a name or a number up to 4294967294",
    accept=_is_user,
    limit=256,
    pattern=f"^{_USER}(:{_USER})?$",
)
SOURCE = Text(
    "base, host, dir:PATH, tar:PATH, or a path that begins with / or .",
    accept=_is_source,
    limit=_PATH_MAX,
    pattern=r"^(base|host|(dir|tar):[^\u0000]+|[/.][^\u0000]*)$",
)
IO_DEVICE = Text(
    "a device's path or MAJOR:MINOR",
    accept=_is_io_device,
    limit=_PATH_MAX,
    pattern=rf"^([0-9]{{1,7}}:[0-9]{{1,7}}|/{_NO_PARENT}[^\u0000]*)$",
)
CPUSET = Text(
    "CPU numbers as in 0-3,5", accept=_is_cpuset, limit=4096, pattern=f"^{_CPUS}(,{_CPUS})*$"
)
SECCOMP = Text(
    "default, unconfined, or the path of a profile in Docker's format",
    accept=bool,
    limit=_PATH_MAX,
    pattern=r"^[^\u0000]+$",
)
HOSTNAME = Text(
    "letters, digits, '-', '_' and '.', at most 64",
    accept=_is_hostname,
    limit=64,
    pattern="^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}$",
)


def label(allowed: str, limit: int = 256) -> Text:
    """Printable, not empty."""
    return Text(allowed, accept=_is_label, limit=limit, pattern=f"^{_LABEL}$")
