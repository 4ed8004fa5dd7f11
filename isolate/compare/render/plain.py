"""The document as JSON: the form that `compare show` and `diff` read, with every sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isolate.spec.record import Record

if TYPE_CHECKING:
    from isolate.compare.document import Comparison


def plain(document: Comparison) -> str:
    """Every key is present, unmeasured is null."""
    return json.dumps(_plain(document), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    match value:
        case Record():
            return {name: _plain(getattr(value, name)) for name in value.FIELDS}
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case tuple():
            return [_plain(item) for item in value]
    return value
