"""Works on values through py-key-value's CompressionWrapper.

Input: a JSON object, `read` with stored values and `write` with values. Output: a JSON object, `read`
with the values that the wrapper reads, `written` with what it stores.
"""

import asyncio
import json
import sys

from key_value.aio.stores.simple import SimpleStore
from key_value.aio.wrappers.compression import CompressionWrapper


async def main():
    store = SimpleStore()
    wrapper = CompressionWrapper(key_value=store)
    task = json.load(sys.stdin)
    answer = {"read": [], "written": []}
    for stored in task["read"]:
        await store.put("k", stored)
        answer["read"].append(await wrapper.get("k"))
    for value in task["write"]:
        await wrapper.put("k", value)
        answer["written"].append(await store.get("k"))
    json.dump(answer, sys.stdout)


asyncio.run(main())
