"""A feature's contract: how a spec asks for it, and what proves that it is really there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab

SEPARATE = "kernel.separate"


class FeatureContract(ABC):
    """The contract of one feature of `isolate.backend.FEATURES`."""

    feature: ClassVar[str]

    def ask(self, lab: Lab) -> Document:
        """The smallest document that asks for it; by default it is required by its name."""
        return {"require": [self.feature]}

    @abstractmethod
    def prove(self, lab: Lab) -> None:
        """Try, from inside and outside, what must not or must work; raises Breach."""


def compares(lab: Lab) -> bool:
    """Whether kernel objects inside can be compared with the host's: not with a kernel apart."""
    return SEPARATE not in lab.claims


def if_claimed(lab: Lab, feature: str, document: Document) -> Document:
    """The document where the feature is claimed, else an empty one."""
    return document if feature in lab.claims else {}
