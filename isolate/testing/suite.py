"""The module that `isolate verify` gives to pytest: the contract for the backend it names."""

from __future__ import annotations

from isolate.testing.contract import BackendContract


class TestBackend(BackendContract):
    """The whole contract; `isolate.testing.verify` sets the name."""

    name = ""
