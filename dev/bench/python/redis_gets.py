"""Reads entries with py-key-value's RedisStore, as fast as it goes.

Arguments: the server's URL, the collection, how many entries it has, how many tasks. For each line
on standard input, a number of reads, it prints how many it did a second.
"""

import asyncio
import random
import sys
import time

from key_value.aio.stores.redis import RedisStore


async def main():
    url, collection, entries, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

    async def read(store, reads):
        for _ in range(reads):
            key = f"session-{random.randrange(entries):08}"
            assert await store.get(key, collection=collection) is not None

    async with RedisStore(url=url) as store:
        for line in sys.stdin:
            reads = int(line) // tasks
            start = time.perf_counter()
            await asyncio.gather(*(read(store, reads) for _ in range(tasks)))
            print(reads * tasks / (time.perf_counter() - start), flush=True)


asyncio.run(main())
