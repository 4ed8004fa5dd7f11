"""The contracts of the features, one class for each of `isolate.backend.FEATURES`."""

from __future__ import annotations

from isolate.testing.features import files, limits, privileges, process, system, views
from isolate.testing.features.base import FeatureContract

CONTRACTS: dict[str, FeatureContract] = {
    contract.feature: contract()
    for module in (files, limits, privileges, process, system, views)
    for contract in module.CONTRACTS
}

__all__ = ["CONTRACTS", "FeatureContract"]
