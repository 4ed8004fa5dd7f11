"""The JSON Schema: valid, and of one mind with the checker where it can express the rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from isolate.errors import SpecError
from isolate.spec import Spec
from isolate.spec.kinds import Text
from isolate.spec.schema import nested_records, schema
from tests.unit import strategies

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_it_is_a_schema_and_plain_json() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"].startswith("urn:")


def test_every_field_is_described_and_every_reference_leads_somewhere() -> None:
    tables = [SCHEMA, *SCHEMA["$defs"].values()]
    assert all(table["description"] for table in tables)
    assert all(one["description"] for table in tables for one in table["properties"].values())
    used = set(json.dumps(SCHEMA).split('"#/$defs/')[1:])
    assert {reference.split('"')[0] for reference in used} == set(SCHEMA["$defs"])


def test_units_stand_in_the_text() -> None:
    limits = SCHEMA["$defs"]["Limits"]["properties"]
    assert "bytes" in limits["memory"]["description"]
    assert "seconds" in limits["timeout"]["description"]


def test_defaults_are_the_records_own() -> None:
    assert SCHEMA["$defs"]["Process"]["properties"]["umask"]["default"] == 0o022
    for record in nested_records(Spec):
        for name, one in SCHEMA["$defs"][record.__name__]["properties"].items():
            if "default" in one:
                assert record.FIELDS[name].check(one["default"], "") == record.FIELDS[name].unsaid()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.documents(raw_bytes=True))
def test_what_the_checker_takes_the_schema_takes(document: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(document)) == []
    assert list(VALIDATOR.iter_errors(Spec.build(document, "").to_dict())) == []


@pytest.mark.parametrize(
    "document",
    [
        {"unknown": 1},
        {"mounts": [{"source": "/a"}]},
        {"mounts": [{"source": "a", "target": "/b"}]},
        {"mounts": [{"source": "/a", "target": "/b/../c"}]},
        {"mounts": [{"source": "/a", "target": "/.."}]},
        {"mounts": {}},
        {"limits": []},
        {"limits": None},
        {"limits": {"memory": -1}},
        {"limits": {"memory": "64X"}},
        {"limits": {"memory": ".5M"}},
        {"limits": {"memory": 2**62}},
        {"limits": {"memory": 1.5}},
        {"limits": {"pids": True}},
        {"limits": {"cpuset": "0-"}},
        {"limits": {"io": [{"device": "8", "rbps": 1}]}},
        {"process": {"args": ["a\0b"]}},
        {"process": {"args": ["x" * 2**17]}},
        {"process": {"env": {"A=B": ""}}},
        {"process": {"env": {"A\nB": ""}}},
        {"process": {"env": {"A": 1}}},
        {"process": {"cwd": "tmp"}},
        {"process": {"user": "0:"}},
        {"process": {"user": ":"}},
        {"process": {"user": "-1"}},
        {"process": {"rlimits": {"nofiles": {"soft": 1, "hard": 1}}}},
        {"privileges": {"cap_add": ["CAP_ROOT"]}},
        {"privileges": {"cap_add": ["ALL"]}},
        {"isolate": ["pid"]},
        {"isolate": ["pids"] * 9},
        {"network": {"mode": "bridge"}},
        {"root": {"source": "bse"}},
        {"hostname": "-a"},
        {"hostname": "a" * 65},
        {"sysctl": {"kernel.core_pattern": "x"}},
        {"sysctl": {"kernel.hostname": "x"}},
        {"sysctl": {"net..x": "1"}},
        {"sysctl": {"net/../kernel/core_pattern": "1"}},
        {"sysctl": {"net.x": "1\n2"}},
        {"sysctl": {"net.x": "1+2"}},
        {"annotations": {"": "x"}},
        {"backend_options": {"chroot": {"a": None}}},
        {"backend_options": {"chroot": {"a": {}}}},
    ],
)
def test_what_the_schema_refuses_the_checker_refuses_too(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(SpecError):
        Spec.build(document, "")


def test_every_checked_text_has_its_pattern() -> None:
    for record in {Spec} | nested_records(Spec):
        for described in record.FIELDS.values():
            if isinstance(described.kind, Text) and described.kind.accept is not None:
                assert described.kind.pattern != Text().pattern, described.name
