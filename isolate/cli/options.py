"""The options of `isolate run` as one table; parsers, help and reference come from it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SWITCH = "switch"  # takes no value
VALUE = "value"  # takes one, the last wins
LIST = "list"  # may be given often


class Option:
    """One option.

    Attributes:
        flags: its spellings, the long one first; a switch may have a second long one, `--no-...`.
        kind: SWITCH, VALUE or LIST.
        metavar: what its value is, for the help.
        help: one line.
        dest: the name under which the parsers keep it.
    """

    __slots__ = ("dest", "flags", "help", "kind", "metavar", "negative")

    def __init__(
        self,
        *flags: str,
        kind: str,
        help: str,  # noqa: A002 - typer's and argparse's own word
        metavar: str = "",
        negative: str = "",
    ) -> None:
        self.flags = flags
        self.kind = kind
        self.help = help
        self.metavar = metavar
        self.negative = negative
        self.dest = flags[0].lstrip("-").replace("-", "_")


def _switch(*flags: str, help: str, negative: str = "") -> Option:  # noqa: A002
    return Option(*flags, kind=SWITCH, help=help, negative=negative)


def _value(*flags: str, metavar: str, help: str) -> Option:  # noqa: A002
    return Option(*flags, kind=VALUE, metavar=metavar, help=help)


def _list(*flags: str, metavar: str, help: str) -> Option:  # noqa: A002
    return Option(*flags, kind=LIST, metavar=metavar, help=help)


RUN_OPTIONS = (
    _value("--backend", "-b", metavar="NAME", help="isolation technology; see `isolate backends`"),
    _value("--spec", metavar="FILE", help="spec in TOML or JSON; flags override it; - is stdin"),
    _value("--name", metavar="ID", help="the container's id; none said: a random one"),
    _value("--rootfs", metavar="SOURCE", help="base, host, dir:PATH or tar:PATH"),
    _switch("--read-only", help="make the root read-only"),
    _value("--hostname", metavar="NAME", help="host name inside"),
    _list("--env", "-e", metavar="NAME=VALUE", help="variable; NAME alone copies yours"),
    _list("--env-file", metavar="FILE", help="file of NAME=VALUE lines"),
    _value("--workdir", "-w", metavar="DIR", help="working directory inside"),
    _value("--user", "-u", metavar="USER[:GROUP]", help="user inside, by name or number"),
    _list("--mount", metavar="type=...,source=...,target=...", help="mount, with its options"),
    _list("--volume", "-v", metavar="SOURCE:TARGET[:ro]", help="file or directory of the host"),
    _list("--tmpfs", metavar="TARGET[:size=SIZE]", help="memory filesystem"),
    _value("--network", metavar="none|host", help="none: a loopback of its own; host: the host's"),
    _value("--memory", "-m", metavar="SIZE", help="memory limit, as in 64M"),
    _value("--memory-swap", metavar="SIZE", help="swap beside the memory; 0 is none"),
    _value("--cpus", metavar="N", help="CPUs' worth of time, as in 0.5"),
    _value("--cpu-weight", metavar="1..10000", help="share of contended CPU time"),
    _value("--cpuset", metavar="LIST", help="CPUs that may be used, as in 0-1"),
    _value("--pids", metavar="N", help="limit on processes and threads"),
    _list("--io-max", metavar="DEVICE:rbps=SIZE,...", help="limits on a block device"),
    _list("--rlimit", metavar="NAME=SOFT[:HARD]", help="limit per process, as in nofile=1024"),
    _value("--timeout", metavar="SECONDS", help="then every process is killed; exit status 124"),
    _value("--max-output", metavar="SIZE", help="bytes of output; one more, and it is killed"),
    _list("--cap-add", metavar="CAP", help="capability beside the default ones"),
    _list("--cap-drop", metavar="CAP", help="capability not to have; ALL is every one"),
    _value("--seccomp", metavar="default|unconfined|FILE", help="system call filter"),
    _switch(
        "--no-new-privileges",
        negative="--new-privileges",
        help="execve never gives more rights (the default of most backends)",
    ),
    _switch("--privileged", help="no fence: all rights of the caller"),
    _list("--device", metavar="PATH[:TARGET[:rwm]]", help="device of the host"),
    _value("--userns", metavar="private|host", help="host: root inside is root outside"),
    _list("--mask", metavar="PATH", help="hide a path inside"),
    _switch("--unmask", help="hide nothing of /proc and /sys by default"),
    _list("--require", metavar="NAME=VALUE", help="feature that must be there: kernel=separate"),
    _list("--allow-degraded", metavar="FEATURE", help="feature that may be missing"),
    _list("--option", "-o", metavar="[BACKEND.]KEY=VALUE", help="setting of the backend"),
    _value("--result-json", metavar="FILE", help="write what happened, as JSON"),
    _switch("--interactive", "-i", negative="--no-stdin", help="pass standard input on (default)"),
    _switch("--tty", "-t", help="give the program a terminal"),
    _switch("--init", help="run a small init as pid 1"),
    _switch("--detach", "-d", help="run in the background and print the id; see `isolate logs`"),
    _value("--restart", metavar="no|on-failure[:N]|always", help="with -d: run it again"),
    _value("--log-size", metavar="SIZE", help="with -d: bytes of output that are kept (16M)"),
    _switch("--dry-run", help="say what would be done, and do nothing"),
    _value("--root", metavar="DIR", help="state directory; also ISOLATE_ROOT"),
)

_NOT_OF_CREATE = ("detach", "dry_run", "result_json")
CREATE_OPTIONS = tuple(row for row in RUN_OPTIONS if row.dest not in _NOT_OF_CREATE)
EXPLAIN_OPTIONS = (*RUN_OPTIONS, _switch("--json", help="print JSON"))


class UnrecognisedError(Exception):
    """The fast parser leaves this command line to the full one, for its help and its errors."""


def parse(words: list[str], options: tuple[Option, ...] = RUN_OPTIONS) -> dict[str, Any]:
    """The options by their dest, and the command line as `args`. Raises UnrecognisedError.

    As in every option parser: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-it`; the
    first word that is no option, or what follows `--`, begins the command.
    """
    by_flag = {flag: option for option in options for flag in option.flags}
    negatives = {option.negative: option for option in options if option.negative}
    values: dict[str, Any] = {}
    left = words[::-1]
    while left and left[-1].startswith("-") and left[-1] != "-":
        word = left.pop()
        if word == "--":
            break
        if word in negatives:
            values[negatives[word].dest] = False
        else:
            _option(word, left, by_flag, values)
    values["args"] = left[::-1]
    return values


def _option(word: str, left: list[str], by_flag: dict[str, Option], values: dict[str, Any]) -> None:
    """Take one option, and its value from `left` (the words to come, the next one last)."""
    if word.startswith("--"):
        flag, separator, value = word.partition("=")
    else:
        flag, separator, value = word[:2], word[2:], word[2:]
    option = by_flag.get(flag)
    if option is None:
        raise UnrecognisedError(word)
    if option.kind == SWITCH:
        if word.startswith("--") and separator:
            raise UnrecognisedError(word)
        values[option.dest] = True
        if separator:  # -it is -i -t
            left.append(f"-{separator}")
        return
    if not separator:
        if not left:
            raise UnrecognisedError(word)
        value = left.pop()
    _keep(values, option, value)


def _keep(values: dict[str, Any], option: Option, value: str) -> None:
    if option.kind == LIST:
        values.setdefault(option.dest, []).append(value)
    else:
        values[option.dest] = value
