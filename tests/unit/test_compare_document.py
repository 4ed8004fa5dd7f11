"""The document: old files load, hostile ones are refused, the schema holds, renderings tell it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from isolate.compare import file
from isolate.compare.defences import blockers
from isolate.compare.document import AblationRow, Comparison
from isolate.compare.render import FORMATS, format_of, render
from isolate.errors import IsolateError

# Saved by the first version of the schema, and never to be changed: what must load for ever.
V1 = Path(__file__).parent / "data" / "compare-v1.json"


@pytest.fixture
def old() -> Comparison:
    return file.load(str(V1))


def test_a_file_of_the_first_version_still_loads(old: Comparison) -> None:
    startup = next(
        row for row in old.metrics if (row.metric, row.backend) == ("startup", "namespaces")
    )
    assert len(startup.samples) == len(startup.blocks) == 6
    assert startup.unit == "s"
    assert {row.name for row in old.backends} == {"chroot", "namespaces"}
    assert old.probes
    assert old.ablation
    assert old.prices
    assert old.environment.cpus == 2
    assert old.settings.seed == 1


def _known(new: Any, old: Any) -> Any:
    """What is said in `new` of what `old` has: a later version may say more."""
    if isinstance(old, dict):
        return {key: _known(new[key], value) for key, value in old.items()}
    if isinstance(old, list):
        return [_known(one, other) for one, other in zip(new, old, strict=True)]
    return new


def test_an_old_file_is_written_again_without_a_loss(old: Comparison, tmp_path: Path) -> None:
    path = str(tmp_path / "again.json")
    file.save(old, path)
    assert file.load(path) == old
    before: dict[str, Any] = json.loads(V1.read_text())
    after: dict[str, Any] = json.loads(Path(path).read_text())
    assert _known(after, before) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["again.json"]


def test_the_schema_describes_what_is_written(old: Comparison) -> None:
    schema = file.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    written = json.loads(render(old, "json"))
    assert [error.message for error in validator.iter_errors(written)] == []
    written["metrics"][0]["median"] = "fast"
    written["metrics"][1]["surprise"] = 1
    assert len(list(validator.iter_errors(written))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no comparison"),
        ("[1]", "says that it is null"),
        ("{}", "says that it is null"),
        ('{"schema": "isolate.compare/2"}', 'says that it is "isolate.compare/2"'),
        ('{"schema": "isolate.compare/1"}', "environment: is missing"),
        ("[" * 100_000, "is no comparison"),
        ('{"schema": "isolate.compare/1", "environment": 3, "backends": []}', "environment"),
        ("\x80", "is no comparison"),
    ],
)
def test_what_is_no_comparison_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(IsolateError) as caught:
        file.load(str(path))
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_the_table_tells_what_matters_in_its_order(old: Comparison) -> None:
    found = old.probes[0].replace(backend="namespaces", verdict="exposed", claimed=True)
    document = old.replace(probes=(*old.probes[1:], found), warnings=("mind the gap",))
    text = render(document, "table")
    places = [text.index(word) for word in ("WARNINGS", "CONTRADICTIONS", "ISOLATION", "OVERHEAD")]
    assert places == sorted(places)
    assert "mind the gap" in text
    line = next(line for line in text.splitlines() if re.match(r"startup\s+host ", line))
    assert "ms" in line or "µs" in line
    assert re.search(r"namespaces +[\d.]+ m?s +×[\d,.]+ \[[\d,.]+, [\d,.]+\]", text)
    assert "\x1b" not in text


def test_colours_are_beside_the_words(old: Comparison) -> None:
    plain, colored = render(old, "table"), render(old, "table", color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == plain
    assert render(old, "json", color=True) == render(old, "json")


def test_evidence_from_a_container_cannot_act_on_the_terminal(old: Comparison) -> None:
    hostile = old.probes[0].replace(verdict="exposed", claimed=True, evidence="\x1b[2Jgone\nline")
    text = render(old.replace(probes=(hostile,), warnings=("\x1b]0;x\x07",)), "table")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "gone\\nline" in text


def test_no_difference_has_its_own_sign(old: Comparison) -> None:
    row = next(row for row in old.metrics if row.backend == "chroot")
    same = row.replace(ratio=1.01, low=0.98, high=1.04, same=True)
    assert "~ ×1.01 [0.98, 1.04]" in render(old.replace(metrics=(same,)), "table")
    missing = row.replace(
        samples=(), blocks=(), median=None, ratio=None, low=None, high=None, note="no luck"
    )
    line = next(
        line
        for line in render(old.replace(metrics=(missing,)), "table").splitlines()
        if "chroot" in line and "no luck" in line
    )
    assert " – " in line
    assert " 0 " not in line, "unmeasured is never 0"


def test_formats_go_by_their_names_and_suffixes(old: Comparison) -> None:
    for name in FORMATS:
        assert render(old, name)
    assert format_of("a/b.json") == "json"
    assert format_of("b.TXT") == "table"
    assert format_of("c.md") == "markdown"
    assert format_of("junit.xml") == "junit"
    with pytest.raises(IsolateError, match="no format"):
        render(old, "poem")
    with pytest.raises(IsolateError, match="suffix"):
        format_of("noext")


def test_independent_defences_are_the_layers_that_suffice_alone() -> None:
    def row(layer: str, verdict: str, *, alone: bool = False) -> AblationRow:
        return AblationRow(backend="b", layer=layer, alone=alone, probe="p.q", verdict=verdict)

    rows = [
        row("seccomp", "isolated"),
        row("capabilities", "isolated"),
        row("masked paths", "isolated"),
        row("seccomp", "isolated", alone=True),
        row("capabilities", "isolated", alone=True),
        row("masked paths", "exposed", alone=True),
    ]
    assert blockers([*rows, row("all", "exposed")], "b", "p.q") == ["seccomp", "capabilities"]
    assert blockers([*rows, row("all", "isolated")], "b", "p.q") == [], "something else stops it"
    assert blockers(rows, "b", "p.q") == []
