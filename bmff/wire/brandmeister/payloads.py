"""
How payloads are written: JSON objects (RFC 8259), texts of radios as UTF-16LE.
"""

from __future__ import annotations

import json
from typing import Any, Final

LONGEST_TEXT: Final = 1000  # characters

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def encodeObject(**fields: Any) -> bytes:
    """
    An object; fields that are L{None} are left out.
    """
    said = {name: value for name, value in fields.items() if value is not None}
    # What a radio has sent may hold half a character of UTF-16.
    return _encode(said).encode("utf-8", "replace")


def encodeText(text: str) -> bytes:
    """
    A text message.
    """
    return text[:LONGEST_TEXT].encode("utf-16-le", "replace")
