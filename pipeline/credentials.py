"""Credentials come from the environment: refused in addresses, blotted out of what is told."""

import os
import re

from seimai.errors import SeimaiError

__all__ = ["refuse_credentials", "without_secrets"]

_NAMES = ("KEY", "SECRET", "TOKEN", "PASSWORD")
_SIGNED = re.compile(r"[?&](X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature|Signature|sig)=", re.IGNORECASE)
"""Query fields that let whoever has the address in: presigned ones of S3 and Google, SAS tokens of Azure."""
_NAMED = ("s3://", "s3a://", "gs://", "gcs://")
"""Addresses that begin with a bucket: what stands before an @ in them can only be a key."""


def refuse_credentials(place: str, kind: type[SeimaiError]) -> None:
    """Raise an error of a kind, which does not tell them, for an address with a password, key or signature in it.

    A user or container alone (`sftp://me@host`, `abfs://container@account`) is no secret.

    >>> from seimai.errors import RunError
    >>> refuse_credentials("s3://key:secret@bucket/run", RunError)
    Traceback (most recent call last):
    seimai.errors.RunError: s3://…: has a user, key or signature in it; give the address without it, and credentials \
in the environment (for s3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)
    """
    scheme, _, rest = place.partition("://")
    before, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and (":" in before or place.startswith(_NAMED))) or (rest and _SIGNED.search(rest)):
        raise kind(
            f"{scheme}://…: has a user, key or signature in it; give the address without it, and credentials in the "
            "environment (for s3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )


def without_secrets(text: str) -> str:
    """A text without any value of the environment that looks like a credential."""
    for name, value in os.environ.items():
        if len(value) >= 8 and any(word in name.upper() for word in _NAMES):
            text = text.replace(value, "***")
    return text
