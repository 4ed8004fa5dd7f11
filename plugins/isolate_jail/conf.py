"""jail.conf(5): its grammar, and the statements of a file as plain objects.

Variables are resolved and jails put together in `isolate_jail.jails`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from isolate.errors import IsolateError
from isolate.spec.record import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lark import Lark, Token

    Node = Any  # a tree of lark, whose children are of either kind

MAX_BYTES = 2**20
MAX_DEPTH = 16  # of blocks in blocks
MAX_STATEMENTS = 20000

_GRAMMAR = r"""
start: statement*
?statement: assignment | flag | block
assignment: text (EQUALS | APPEND) [values] ";"
flag: text ";"
block: text "{" statement* "}" [";"]
values: text ("," text)*
text: (WORD | VARIABLE | DOUBLE | SINGLE)+

EQUALS: "="
APPEND: "+="
VARIABLE: /\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_.]*\})/
DOUBLE: /"([^"\\]|\\[\s\S])*"/
SINGLE: /'([^'\\]|\\[\s\S])*'/
WORD: /(?!\/\/|\/\*)([^\s;,={}"'$\\#+]|\\[\s\S]|\+(?!=))+/
COMMENT: /#[^\n]*|\/\/[^\n]*|\/\*([^*]|\*(?!\/))*\*\//
%ignore COMMENT
%ignore /\s+/
"""

_CONTROL = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


class JailConfError(IsolateError):
    """A jail.conf can't be understood; `line` and `column` count from 1."""

    def __init__(self, source: str, line: int, column: int, problem: str, hint: str = "") -> None:
        super().__init__(
            f"{source}:{line}:{column}: {problem}", hint=hint or "jail.conf(5) has the syntax"
        )
        self.line = line
        self.column = column


class Place:
    """Where something stands."""

    __slots__ = ("column", "line", "source")

    def __init__(self, source: str, line: int, column: int) -> None:
        self.source = source
        self.line = line
        self.column = column

    def error(self, problem: str, hint: str = "") -> JailConfError:
        """An error that names this place."""
        return JailConfError(self.source, self.line, self.column, problem, hint)


class Text:
    """A name or value: literal pieces, and variables to be filled in (True beside their name)."""

    __slots__ = ("pieces", "place")

    def __init__(self, pieces: Sequence[tuple[str, bool]], place: Place) -> None:
        self.pieces = tuple(pieces)
        self.place = place

    @property
    def literal(self) -> str | None:
        """The text, where no variable is in it."""
        if any(variable for _text, variable in self.pieces):
            return None
        return "".join(text for text, _variable in self.pieces)

    @property
    def variable(self) -> str | None:
        """The variable's name, where it is nothing else."""
        only = self.pieces[0] if len(self.pieces) == 1 else ("", False)
        return only[0] if only[1] else None


class Statement:
    """`key = values`, `key += values` or `key;`; a key of a variable has its `$`."""

    __slots__ = ("append", "key", "place", "values")

    def __init__(
        self, key: str, values: Sequence[Text] | None, *, append: bool, place: Place
    ) -> None:
        self.key = key
        self.values = None if values is None else tuple(values)
        self.append = append
        self.place = place


class Block:
    """Statements of one jail, or of a wildcard; the empty name is for statements of all jails."""

    __slots__ = ("name", "place", "statements")

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.statements: list[Statement] = []


def parse(data: bytes, source: str) -> list[Block]:
    """The blocks of a file in their order. A block inside another is the jail `OUTER.INNER`.

    Raises JailConfError for everything that isn't right in it.
    """
    whole = Place(source, 1, 1)
    if len(data) > MAX_BYTES:
        raise whole.error(f"is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        raise Place(source, line, error.start - before.rfind(b"\n")).error("isn't UTF-8") from None
    if "\0" in text:
        before_nul = text[: text.index("\0")]
        line, column = before_nul.count("\n") + 1, len(before_nul) - before_nul.rfind("\n")
        raise Place(source, line, column).error("a NUL byte")
    return _Reader(source).read(_tree(text, source))


def _tree(text: str, source: str) -> Node:
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        line, column = max(error.line, 1), max(error.column, 1)
        problem = "is not understood"
        if isinstance(error, UnexpectedToken):
            at_end = error.token.type == "$END"
            problem = (
                "the file ends too early" if at_end else f"{shown(error.token)!r} is unexpected"
            )
            line, column = (_end_of(text)) if at_end else (line, column)
        elif isinstance(error, UnexpectedCharacters):
            character = text[error.pos_in_stream]  # type: ignore[index] # this kind has one
            problem = f"{shown(character)!r} is unexpected"
            problem = "a quote that isn't closed" if character in "\"'" else problem
        raise JailConfError(source, line, column, problem) from None


def _end_of(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


_made: list[Lark] = []


def _parser() -> Lark:
    """The parser, made once; lark is imported where it is first needed."""
    if not _made:
        from lark import Lark

        _made.append(Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False))
    return _made[0]


class _Reader:
    """From the parser's tree to blocks."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._blocks: list[Block] = []
        self._count = 0

    def read(self, tree: Node) -> list[Block]:
        self._statements(tree.children, "", Place(self._source, 1, 1), 0)
        return self._blocks

    def _statements(self, nodes: Sequence[Node], name: str, place: Place, depth: int) -> None:
        """Statements around a nested block stay in their order."""
        block: Block | None = None
        for node in nodes:
            if not hasattr(node, "data"):
                continue
            if node.data == "block":
                self._block(node, name, depth)
                block = None
                continue
            if block is None:
                block = self._new(name, place)
            block.statements.append(self._statement(node))
        if block is None and name:
            self._new(name, place)

    def _new(self, name: str, place: Place) -> Block:
        block = Block(name, place)
        self._blocks.append(block)
        return block

    def _block(self, node: Node, outer: str, depth: int) -> None:
        head = self._text(node.children[0])
        if depth >= MAX_DEPTH:
            raise head.place.error(f"blocks are nested deeper than {MAX_DEPTH}")
        own = head.literal
        if not own:
            raise head.place.error("a jail's name has no variable and isn't empty")
        name = f"{outer}.{own}" if outer else own
        self._statements(node.children[1:], name, head.place, depth + 1)

    def _statement(self, node: Node) -> Statement:
        self._count += 1
        head = self._text(node.children[0])
        if self._count > MAX_STATEMENTS:
            raise head.place.error(f"more than {MAX_STATEMENTS} statements")
        key = f"${head.variable}" if head.variable else head.literal
        if not key:
            raise head.place.error("a parameter's name has no variable in it and isn't empty")
        if node.data == "flag":
            return Statement(key, None, append=False, place=head.place)
        operator, *rest = node.children[1:]
        values = [self._text(each) for each in rest[0].children] if rest else []
        return Statement(key, values, append=str(operator) == "+=", place=head.place)

    def _text(self, node: Node) -> Text:
        tokens: list[Token] = node.children
        place = Place(self._source, tokens[0].line or 1, tokens[0].column or 1)
        for before, after in itertools.pairwise(tokens):
            if before.end_pos != after.start_pos:
                where = Place(self._source, after.line or 1, after.column or 1)
                hint = _hint(str(before)) or "a value with a space in it is quoted"
                raise where.error(f"{shown(after)!r} is unexpected", hint)
        return Text([piece for token in tokens for piece in _pieces(token, place)], place)


def _hint(key: str) -> str:
    if key.startswith(".include"):
        return "files are included by the command line: -f may be given several times"
    return ""


def _pieces(token: Token, place: Place) -> Iterator[tuple[str, bool]]:
    text = str(token)
    if token.type == "VARIABLE":
        yield text[1:].strip("{}"), True
    elif token.type == "SINGLE":
        yield _unescaped(text[1:-1], place), False
    elif token.type == "DOUBLE":
        yield from _expanded(text[1:-1], place)
    else:
        yield _unescaped(text, place), False


def _expanded(text: str, place: Place) -> Iterator[tuple[str, bool]]:
    """Literal text and variables of a string in double quotes."""
    import re

    at = 0
    for found in re.finditer(
        r"\\.|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_][\w.]*)\})", text, re.ASCII | re.DOTALL
    ):
        name = found.group(1) or found.group(2)
        if name is None:
            continue
        yield _unescaped(text[at : found.start()], place), False
        yield name, True
        at = found.end()
    yield _unescaped(text[at:], place), False


def _unescaped(text: str, place: Place) -> str:
    """Backslash codes as in C: control characters, octal and hexadecimal numbers, else as it is."""
    if "\\" not in text:
        return text
    import re

    def character(found: re.Match[str]) -> str:
        code = found.group(1)
        if code[0] in "01234567":
            return _byte(int(code, 8), place)
        if code[0] == "x" and len(code) > 1:
            return _byte(int(code[1:], 16), place)
        return "" if code == "\n" else _CONTROL.get(code, code)

    return re.sub(r"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", character, text, flags=re.DOTALL)


def _byte(number: int, place: Place) -> str:
    if not 0 < number < 128:
        raise place.error(f"\\{number:o} is no ASCII character")
    return chr(number)
