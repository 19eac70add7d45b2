"""
The numbers of IPROTO (tarantool.io, "Binary protocol": requests, keys, features, MessagePack
extensions).

Those that came after 2.6, the oldest version served, say so.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

GREETING_LENGTH: Final = 128  # bytes

# Kinds of requests and answers.
OK: Final = 0x00
SELECT: Final = 0x01
INSERT: Final = 0x02
REPLACE: Final = 0x03
UPDATE: Final = 0x04
DELETE: Final = 0x05
AUTH: Final = 0x07
EVAL: Final = 0x08
UPSERT: Final = 0x09
CALL: Final = 0x0A
PING: Final = 0x40
ID: Final = 0x49  # 2.10
WATCH: Final = 0x4A  # 2.10
UNWATCH: Final = 0x4B  # 2.10
EVENT: Final = 0x4C  # 2.10
CHUNK: Final = 0x80  # an answer that is not the last
ERROR_BIT: Final = 0x8000

# Keys of the header.
REQUEST_TYPE: Final = 0x00
SYNC: Final = 0x01
SCHEMA_VERSION: Final = 0x05

# Keys of the body.
SPACE_ID: Final = 0x10
INDEX_ID: Final = 0x11
LIMIT: Final = 0x12
OFFSET: Final = 0x13
ITERATOR: Final = 0x14
KEY: Final = 0x20
TUPLE: Final = 0x21
FUNCTION_NAME: Final = 0x22
USER_NAME: Final = 0x23
EXPRESSION: Final = 0x27
OPERATIONS: Final = 0x28
DATA: Final = 0x30
ERROR_24: Final = 0x31  # the message alone, as before 2.4
ERROR: Final = 0x52  # the stack
VERSION: Final = 0x54  # 2.10
FEATURES: Final = 0x55  # 2.10
EVENT_KEY: Final = 0x57  # 2.10
EVENT_DATA: Final = 0x58  # 2.10

# Keys of an error in a stack.
ERROR_STACK: Final = 0x00
ERROR_TYPE: Final = 0x00
ERROR_FILE: Final = 0x01
ERROR_LINE: Final = 0x02
ERROR_MESSAGE: Final = 0x03
ERROR_ERRNO: Final = 0x04
ERROR_CODE: Final = 0x05
ERROR_FIELDS: Final = 0x06

# Errors that mean something to a client.
UNKNOWN_REQUEST_TYPE: Final = 48
WRONG_SCHEMA_VERSION: Final = 109

# Features of a server or client (2.10).
FEATURE_ERROR_EXTENSION: Final = 2
FEATURE_WATCHERS: Final = 3

# MessagePack extension types.
DECIMAL: Final = 1
UUID: Final = 2
ERROR_EXTENSION: Final = 3

# System spaces: what the user may see of spaces and indexes.
VSPACE: Final = 281
VINDEX: Final = 289

ALL_ROWS: Final = 0xFFFFFFFF  # a limit that is none


class Iterator(IntEnum):
    """
    Which rows of an index C{select} takes, and in what order.
    """

    EQ = 0
    REQ = 1
    ALL = 2
    LT = 3
    LE = 4
    GE = 5
    GT = 6
    BITS_ALL_SET = 7
    BITS_ANY_SET = 8
    BITS_ALL_NOT_SET = 9
    OVERLAPS = 10
    NEIGHBOR = 11
