"""Reads records from standard input and writes records of its own, by py-key-value's adapter.

Input: a JSON list of records. Output: a JSON object, `read` with the value and the times of each,
`written` with records and the exact text of their values.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from key_value.aio._utils.managed_entry import ManagedEntry
from key_value.aio._utils.serialization import BasicSerializationAdapter

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ADAPTER = BasicSerializationAdapter()
VALUES = [
    {},
    {"b": [1, 2.5, None, True], "a": {"é": "世界 \U0001f30d \x7f"}},
    {"nan": float("nan"), "most": float("inf"), "least": float("-inf")},
    {"big": 10**40, "small": -(10**40), "tiny": 5e-324},
    {"lone": "\ud800", "reversed": "\udc00\ud800"},
    {"quotes": '"\\/\b\f\n\r\t\x00'},
]


def micros(time):
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1)


def read(record):
    entry = ADAPTER.load_json(record)
    return {
        "value": entry.value,
        "created_at": micros(entry.created_at),
        "expires_at": micros(entry.expires_at),
    }


def written(number, value):
    created_at = EPOCH + timedelta(days=20_000, microseconds=number)
    entry = ManagedEntry(value=value, created_at=created_at, expires_at=datetime.max.replace(tzinfo=timezone.utc))
    return {
        "record": ADAPTER.dump_json(entry, key=f"ключ {number}", collection="c"),
        "key": f"ключ {number}",
        "created_at": micros(created_at),
        "text": json.dumps(value, sort_keys=True),
    }


json.dump(
    {
        "read": [read(record) for record in json.load(sys.stdin)],
        "written": [written(number, value) for number, value in enumerate(VALUES)],
    },
    sys.stdout,
)
