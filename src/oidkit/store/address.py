"""The address of a bucket, and of a prefix within it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SCHEMES", "Address"]

SCHEMES = ("s3", "gs", "az")


class Address(NamedTuple):
    """Where the objects below a prefix of a bucket lie, as in ``s3://bucket/prefix``."""

    scheme: str
    bucket: str
    prefix: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Take an address apart; to a store `#`, `?` and `%` are signs like others."""
        scheme, _, rest = text.partition("://")
        bucket, _, prefix = rest.partition("/")
        return cls(scheme.lower(), bucket, prefix.strip("/"))

    @property
    def name(self) -> str:
        """The address as a text."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")
