"""A checked request for sandboxes, of which any number can be made."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from isolate.api.options import make_spec
from isolate.api.run import CAPTURED, DEFAULT_BACKEND

if TYPE_CHECKING:
    from collections.abc import Mapping


class Blueprint:
    """Attributes:
    max_output: bytes that are collected of a program, where it says nothing else.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        backend: str = DEFAULT_BACKEND,
        timeout: float | None = None,
        id: str | None = None,
        root: str | None = None,
    ) -> None:
        """Raises SpecError."""
        spec = make_spec([], timeout, options)
        output = spec.limits.output
        self.max_output = CAPTURED if output is None else output
        self._id = id
        self._document = {
            "kind": "sandbox",
            "backend": backend,
            "spec": spec.to_dict(),
            "root": root,
        }

    def request(self) -> dict[str, Any]:
        """The request for one sandbox, with its id."""
        return {**self._document, "id": self._id or f"box-{secrets.token_hex(6)}"}
