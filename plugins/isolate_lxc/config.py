"""An LXC configuration: keys and values that can't become other keys, lxc.container.conf(5).

LXC strips blanks from the ends of a value, and then a pair of quotes: so a value with either at
its ends is quoted. One with a newline or another control character, which no line can hold, goes
to the command line as `--define KEY=VALUE`.
"""

from __future__ import annotations

_QUOTES = ("'", '"')
_LONGEST_ENTRY = 4000  # getmntent(3) is given a buffer of 4096 bytes and drops the rest
_ESCAPES = {"\\": "\\134", " ": "\\040", "\t": "\\011", "\n": "\\012"}


class Config:
    """Keys and values, in their order."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[tuple[str, str]] = []

    def add(self, key: str, value: object) -> None:
        """Append `key = value`."""
        self._rows.append((key, str(value)))

    def add_mount(self, source: str, target: str, fstype: str, *options: str) -> None:
        """Append a mount entry; `target` is absolute, as seen inside. Raises ValueError for a
        path that an entry can't hold."""
        where = _escaped(target.lstrip("/"))
        entry = f"{_escaped(source)} {where} {fstype} {','.join(options)} 0 0"
        if len(entry.encode("utf-8", "surrogateescape")) > _LONGEST_ENTRY:
            raise ValueError(f"{target[:60]}... is too long for a mount entry of LXC")
        self.add("lxc.mount.entry", entry)

    def text(self) -> str:
        """The file."""
        return "".join(f"{key} = {_kept(value)}\n" for key, value in self._rows if _is_line(value))

    def defines(self) -> list[str]:
        """The arguments for what the file can't hold."""
        rest = [f"{key}={_kept(value)}" for key, value in self._rows if not _is_line(value)]
        return [word for each in rest for word in ("--define", each)]


def _is_line(value: str) -> bool:
    return not any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in value)


def _kept(value: str) -> str:
    """The value, quoted where LXC would take away from its ends."""
    plain = value == value.strip() and value[:1] not in _QUOTES
    return value if plain else f'"{value}"'


def _escaped(path: str) -> str:
    """A path as a field of fstab(5)."""
    return "".join(_ESCAPES.get(letter, letter) for letter in path)
