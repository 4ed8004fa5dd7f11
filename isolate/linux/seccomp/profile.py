"""Reading profiles: Docker's JSON format, and the `linux.seccomp` object of an OCI document.

Both are one format: Docker adds `archMap`, `includes` and `excludes` (moby, profiles/seccomp),
podman `defaultErrno` and `errno`. See the OCI runtime specification, config-linux.md. What this
reader doesn't know is an error, as is what runtimes understand in different ways.
"""

from __future__ import annotations

import errno

from isolate.linux.names import CAPABILITIES
from isolate.linux.seccomp import load
from isolate.linux.seccomp.arches import ARCHES, foreign, native
from isolate.linux.seccomp.policy import (
    ACTION,
    ALLOW,
    EPERM,
    EQ,
    ERRNO,
    GE,
    GT,
    KILL_PROCESS,
    KILL_THREAD,
    LE,
    LOG,
    LT,
    MASKED_EQ,
    NE,
    TRACE,
    TRAP,
    Condition,
    Policy,
    ProfileError,
    Rule,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 1 << 20
MAX_DEPTH = 8  # the format has 5
MAX_ITEMS = 4096  # in any list

_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}
_WITH_DATA = {ERRNO: 4095, TRACE: 0xFFFF}  # and the greatest datum

_OPERATORS = {
    "SCMP_CMP_NE": NE,
    "SCMP_CMP_LT": LT,
    "SCMP_CMP_LE": LE,
    "SCMP_CMP_EQ": EQ,
    "SCMP_CMP_GE": GE,
    "SCMP_CMP_GT": GT,
    "SCMP_CMP_MASKED_EQ": MASKED_EQ,
}

# TSYNC concerns the runtime's threads, of which there is one; runc doesn't pass it on either.
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": load.FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": load.FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 0,  # for listeners
}

_TOP = (
    "defaultAction defaultErrnoRet defaultErrno architectures archMap flags listenerPath "
    "listenerMetadata syscalls"
).split()
_SYSCALL = "names name action errnoRet errno args comment includes excludes".split()
_ARG = "index value valueTwo op".split()
_CONDITION = "caps arches minKernel".split()
_ARCH_MAP = "architecture subArchitectures".split()
_DOCKER_ARCHES = frozenset(arch.docker for arch in ARCHES.values()) | {"mipsle", "loongarch64"}
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_UINT64 = 2**64 - 1


class Host:
    """What conditional rules ask: the bounding set, uname(2)'s machine, the kernel (6, 12)."""

    __slots__ = ("capabilities", "kernel", "machine")

    def __init__(self, capabilities: int, machine: str, kernel: tuple[int, int]) -> None:
        self.capabilities = capabilities
        self.machine = machine
        self.kernel = kernel


def read(document: bytes, host: Host) -> Policy:
    """The policy of a JSON profile. Raises ProfileError, a ValueError, and nothing else."""
    return convert(decode(document), host)


def decode(document: bytes) -> Any:
    """The JSON value, with limits on size and depth. Raises ProfileError."""
    import json

    if len(document) > MAX_BYTES:
        raise ProfileError("", f"{len(document)} bytes; the limit is {MAX_BYTES}")
    try:
        value = json.loads(
            document.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except ProfileError:
        raise
    except RecursionError:
        raise ProfileError("", "nested too deep") from None
    except ValueError as error:
        raise ProfileError("", f"not JSON: {error}") from None
    _limit_depth(value, MAX_DEPTH)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal keys parsers keep different ones, so that readers could be misled."""
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProfileError("", f"the key {_quote(twice)} is there twice")
    return value


def _no_constant(text: str) -> Any:
    raise ProfileError("", f"{text} is not JSON")


def _limit_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ProfileError("", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _limit_depth(item, left - 1)


def convert(value: Any, host: Host) -> Policy:
    """The policy of a profile that is already decoded, such as OCI's `linux.seccomp`."""
    top = _object(value, "", _TOP)
    if "defaultAction" not in top:
        raise ProfileError("defaultAction", "is missing")
    default = _action(
        top["defaultAction"],
        "defaultAction",
        _errno(top, "", "defaultErrnoRet", "defaultErrno"),
    )
    for key in ("listenerPath", "listenerMetadata"):
        if top.get(key):
            raise ProfileError(key, "user notification is not supported")
    rules, named = _rules(top, host)
    return Policy(
        default,
        rules,
        arches=_arches(top, host.machine),
        named=named,
        flags=_flags(top),
    )


def _rules(top: dict[str, Any], host: Host) -> tuple[list[Rule], set[str]]:
    """The rules that apply on this host, and the names in all."""
    rules: list[Rule] = []
    named: set[str] = set()
    for index, item in enumerate(_list(top, "syscalls", "")):
        place = f"syscalls[{index}]"
        entry = _object(item, place, _SYSCALL)
        rule = Rule(
            _rule_action(entry, place),
            _names(entry, place),
            _conditions(entry, place),
            place,
        )
        named.update(rule.names)
        if _applies(entry, place, host):
            rules.append(rule)
    return rules, named


def _rule_action(entry: dict[str, Any], place: str) -> int:
    if "action" not in entry:
        raise ProfileError(f"{place}.action", "is missing")
    number = _errno(entry, place, "errnoRet", "errno")
    return _action(entry["action"], f"{place}.action", number)


def _action(value: Any, place: str, data: int | None) -> int:
    name = _string(value, place)
    if name == "SCMP_ACT_NOTIFY":
        raise ProfileError(place, "SCMP_ACT_NOTIFY is not supported: nobody would answer")
    if name not in _ACTIONS:
        raise ProfileError(place, f"{_quote(name)} is none of {', '.join(_ACTIONS)}")
    action = _ACTIONS[name]
    if action & ACTION not in _WITH_DATA:
        if data is not None:
            raise ProfileError(place, f"{name} has no error number")
        return action
    data = EPERM if data is None else data
    if data > _WITH_DATA[action]:
        raise ProfileError(place, f"error number {data} is above {_WITH_DATA[action]}")
    return action | data


def _errno(entry: dict[str, Any], place: str, number_key: str, name_key: str) -> int | None:
    """The number; podman writes a name (and perhaps the number) beside."""
    number = entry.get(number_key)
    if number is not None:
        number = _integer(number, _at(place, number_key), 0xFFFF)
    name = entry.get(name_key)
    if name is None or name == "":
        return number
    where = _at(place, name_key)
    code = getattr(errno, _string(name, where), None)
    if not isinstance(code, int) or not name.startswith("E"):
        raise ProfileError(where, f"{_quote(name)} is no error of errno(3)")
    if number not in (None, code):
        raise ProfileError(where, f"{name} is {code}, but {number_key} is {number}")
    return code


def _names(entry: dict[str, Any], place: str) -> list[str]:
    names = _strings(entry, "names", place)
    single = entry.get("name")
    if single:
        if names:
            raise ProfileError(f"{place}.name", "contradicts names")
        names = [_string(single, f"{place}.name")]
    if not names:
        raise ProfileError(f"{place}.names", "is empty")
    for index, name in enumerate(names):
        if not name or len(name) > 64 or not _NAME.issuperset(name):
            raise ProfileError(f"{place}.names[{index}]", f"{_quote(name)} is no system call")
    return names


def _conditions(entry: dict[str, Any], place: str) -> list[Condition]:
    conditions: list[Condition] = []
    for number, item in enumerate(_list(entry, "args", place)):
        where = f"{place}.args[{number}]"
        condition = _condition(_object(item, where, _ARG), where)
        if condition.index in [each.index for each in conditions]:
            # runc takes it as "or", which a reader of a list of conditions doesn't expect.
            problem = f"argument {condition.index} is compared twice; write two rules"
            raise ProfileError(f"{where}.index", problem)
        conditions.append(condition)
    return conditions


def _condition(arg: dict[str, Any], place: str) -> Condition:
    for key in ("index", "value", "op"):
        if key not in arg:
            raise ProfileError(f"{place}.{key}", "is missing")
    name = _string(arg["op"], f"{place}.op")
    if name not in _OPERATORS:
        raise ProfileError(f"{place}.op", f"{_quote(name)} is none of {', '.join(_OPERATORS)}")
    datum = arg.get("valueTwo")
    return Condition(
        _integer(arg["index"], f"{place}.index", 5),
        _OPERATORS[name],
        _integer(arg["value"], f"{place}.value", _UINT64),
        0 if datum is None else _integer(datum, f"{place}.valueTwo", _UINT64),
    )


def _applies(entry: dict[str, Any], place: str, host: Host) -> bool:
    """Docker's conditions: all of `includes` hold, and none of `excludes`."""
    included = _holding(entry, "includes", place, host)
    excluded = _holding(entry, "excludes", place, host)
    # In `includes` every capability counts, in `excludes` any; so with the keys themselves.
    return all(all(each) for each in included) and not any(any(each) for each in excluded)


def _holding(entry: dict[str, Any], key: str, place: str, host: Host) -> list[list[bool]]:
    """For each of caps, arches and minKernel that is given: what of it holds on this host."""
    where = f"{place}.{key}"
    given = entry.get(key)
    value = _object({} if given is None else given, where, _CONDITION)
    holding: list[list[bool]] = []
    if caps := _strings(value, "caps", where):
        holding.append([host.capabilities >> _capability(name, where) & 1 == 1 for name in caps])
    if names := _strings(value, "arches", where):
        for index, name in enumerate(names):
            if name not in _DOCKER_ARCHES:
                raise ProfileError(f"{where}.arches[{index}]", f"{_quote(name)} is unknown")
        holding.append([ARCHES[native(host.machine)].docker in names])
    if version := value.get("minKernel"):
        holding.append([host.kernel >= _version(version, f"{where}.minKernel")])
    return holding


def _capability(name: str, where: str) -> int:
    if name not in CAPABILITIES:
        raise ProfileError(f"{where}.caps", f"{_quote(name)} is no capability of capabilities(7)")
    return CAPABILITIES.index(name)


def _version(value: Any, place: str) -> tuple[int, int]:
    parts = _string(value, place).split(".")
    if len(parts) != 2 or not all(p.isascii() and p.isdecimal() and len(p) < 5 for p in parts):
        raise ProfileError(place, f"{_quote(value)} is no kernel version such as 4.8")
    return int(parts[0]), int(parts[1])


def _arches(top: dict[str, Any], machine: str) -> list[str]:
    """The foreign architectures that the profile names and this machine can run."""
    listed = _strings(top, "architectures", "")
    for index, name in enumerate(listed):
        _known_arch(name, f"architectures[{index}]")
    maps = _list(top, "archMap", "")
    if listed and maps:
        raise ProfileError("archMap", "contradicts architectures")
    for index, item in enumerate(maps):
        place = f"archMap[{index}]"
        entry = _object(item, place, _ARCH_MAP)
        subs = _strings(entry, "subArchitectures", place)
        for name in (_string(entry.get("architecture"), f"{place}.architecture"), *subs):
            _known_arch(name, place)
        if entry["architecture"] == native(machine):
            listed += subs
    return [name for name in foreign(machine) if name in listed]


def _known_arch(name: str, place: str) -> None:
    if name not in ARCHES and name != "SCMP_ARCH_NATIVE":
        raise ProfileError(place, f"{_quote(name)} is no architecture of libseccomp")


def _flags(top: dict[str, Any]) -> int:
    flags = 0
    for index, name in enumerate(_strings(top, "flags", "")):
        if name not in _FLAGS:
            raise ProfileError(f"flags[{index}]", f"{_quote(name)} is none of {', '.join(_FLAGS)}")
        flags |= _FLAGS[name]
    return flags


def _object(value: Any, place: str, keys: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProfileError(place, "must be an object")
    for key in value:
        if key not in keys:
            problem = f"unknown key; known are {', '.join(keys)}"
            raise ProfileError(_at(place, _plain(key)), problem)
    return value


def _list(entry: dict[str, Any], key: str, place: str) -> list[Any]:
    """The list below this key; Go writes an empty one as null."""
    value = entry.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ProfileError(_at(place, key), "must be a list")
    if len(value) > MAX_ITEMS:
        raise ProfileError(_at(place, key), f"has more than {MAX_ITEMS} items")
    return value


def _strings(entry: dict[str, Any], key: str, place: str) -> list[str]:
    where = _at(place, key)
    items = _list(entry, key, place)
    return [_string(item, f"{where}[{index}]") for index, item in enumerate(items)]


def _string(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ProfileError(place, "must be a string")
    return value


def _integer(value: Any, place: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProfileError(place, f"must be a whole number from 0 to {most}")
    return value


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _plain(text: str) -> str:
    """A string of the document, safe to print: ASCII, no control characters, not long."""
    return ascii(text if len(text) <= 64 else f"{text[:61]}...")[1:-1]


def _quote(text: str) -> str:
    return f"'{_plain(text)}'"
