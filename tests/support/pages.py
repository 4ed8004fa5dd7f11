"""Pages of the documentation, executed as they are written: their files made, their commands run.

In a fenced block of the language `console`, a line `$ COMMAND` is run (`> ` goes on with it), and
what follows it is the output that the page promises, standard error included. A block with a
title, as in ```toml title="job.toml", is a file that the reader makes. Other blocks are only shown.

In a promised output `...` stands for anything within a line, alone on a line for any lines; and
where a table has two spaces or more, any number of two or more is right.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<info>\S.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_PATIENCE = 60.0  # seconds for one command of a page
_END = "--- the command has ended ---"


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, the number of its first line."""

    info: str
    text: str
    line: int


@dataclass(frozen=True)
class File:
    """A file that the page tells the reader to make."""

    name: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command of the page, and the output that it promises."""

    command: str
    output: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    info, first, inside = "", 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opening = _FENCE.match(line)
        if info and line == "```":
            yield Block(info, "".join(f"{text}\n" for text in inside), first)
            info, inside = "", []
        elif info:
            inside.append(line)
        elif opening:
            info, first = opening["info"], number + 1
    if info:
        raise ValueError(f"{page.name}:{first}: the block has no end")


def steps(page: Path) -> list[File | Command]:
    """What a reader of the page does, in order."""
    found: list[File | Command] = []
    for block in blocks(page):
        title = _TITLE.search(block.info)
        if block.info.split()[0] == "console":
            found += _commands(block)
        elif title:
            found.append(File(title[1], block.text, block.line))
    return found


def _commands(block: Block) -> Iterator[Command]:
    command, output, line = list[str](), list[str](), 0
    for number, text in enumerate(block.text.splitlines(), block.line):
        if text.startswith("$ "):
            if command:
                yield _command(command, output, line)
            command, output, line = [text[2:]], [], number
        elif text.startswith("> ") and not output:
            command.append(text[2:])
        elif command:
            output.append(text)
        else:
            raise ValueError(f"line {number}: output stands before the first command")
    if command:
        yield _command(command, output, line)


def _command(command: list[str], output: list[str], line: int) -> Command:
    return Command("\n".join(command), "".join(f"{text}\n" for text in output), line)


def matches(promised: str, actual: str) -> bool:
    """Whether an output is as promised."""
    return re.fullmatch("".join(map(_pattern, promised.splitlines())), _plain(actual)) is not None


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(_squeezed(line)).replace(r"\.\.\.", ".*") + r"\n"


def _plain(text: str) -> str:
    return "".join(f"{_squeezed(line)}\n" for line in text.splitlines())


def _squeezed(line: str) -> str:
    """Without blanks at the end, and with two spaces where a table has more."""
    return re.sub(r"(?<=\S) {3,}", "  ", line.rstrip())


class Shell:
    """One shell for a whole page, so that variables, jobs and `$?` last; a context manager."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        self._argv = argv
        self._environment = dict(environment)
        self._cwd = cwd

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            env=self._environment,
            cwd=self._cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *_error: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()

    def run(self, command: str) -> str:
        """What a command writes to standard output and error. Raises TimeoutError."""
        assert self._process.stdin is not None
        # The commands must not read the shell's own script, so their standard input is empty.
        # The last line gives the next command its $? back.
        script = (
            f"eval {shlex.quote(command)} </dev/null",
            f"_status=$?; printf '\\n%s' '{_END}'",
            "(exit $_status)",
        )
        self._process.stdin.write("".join(f"{line}\n" for line in script).encode())
        self._process.stdin.flush()
        return self._until_end(command).removesuffix(f"\n{_END}")

    def _until_end(self, command: str) -> str:
        assert self._process.stdout is not None
        descriptor, output = self._process.stdout.fileno(), b""
        deadline = time.monotonic() + _PATIENCE
        while not output.endswith(_END.encode()):
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            part = os.read(descriptor, 65536) if ready else b""
            if not part:
                text = output.decode(errors="replace")
                raise TimeoutError(f"{command!r} doesn't end, or ended the shell; so far:\n{text}")
            output += part
        return output.decode(errors="replace")


def run(page: Path, shell: Shell, directory: Path) -> list[str]:
    """Do what the page says, in a directory; what came out otherwise, for the test's message."""
    wrong = []
    for step in steps(page):
        if isinstance(step, File):
            (directory / step.name).write_text(step.text, encoding="utf-8")
            continue
        actual = shell.run(step.command)
        if not matches(step.output, actual):
            wrong.append(
                f"{page.name}:{step.line}: $ {step.command}\n"
                f"promised:\n{step.output}came:\n{actual}"
            )
    return wrong
