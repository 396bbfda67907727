"""Encrypts and decrypts with Python's cryptography, by itself and in py-key-value's wrapper over a
store in memory, as fast as it goes.

For each line on standard input, `encrypt`, `decrypt`, `put` or `get`, a size in bytes and a number
of times, it prints how many it did a second.
"""

import asyncio
import sys
import time

from cryptography.fernet import Fernet
from key_value.aio.stores.simple import SimpleStore
from key_value.aio.wrappers.encryption.fernet import FernetEncryptionWrapper

fernet = Fernet(Fernet.generate_key())


def rate(work, times):
    start = time.perf_counter()
    for _ in range(times):
        work()
    return times / (time.perf_counter() - start)


async def rate_of_store(work, times):
    start = time.perf_counter()
    for _ in range(times):
        await work()
    return times / (time.perf_counter() - start)


async def main():
    store = FernetEncryptionWrapper(SimpleStore(), fernet=fernet)
    for line in sys.stdin:
        work, size, times = line.split()
        size, times = int(size), int(times)
        text = b"x" * size
        token = fernet.encrypt(text)
        value = {"a": "x" * (size - len('{"a":""}'))}
        put = lambda: store.put("token-00000001", value, collection="tokens")
        await put()
        get = lambda: store.get("token-00000001", collection="tokens")
        if work == "encrypt":
            done = rate(lambda: fernet.encrypt(text), times)
        elif work == "decrypt":
            done = rate(lambda: fernet.decrypt(token), times)
        else:
            done = await rate_of_store({"put": put, "get": get}[work], times)
        print(done, flush=True)


asyncio.run(main())
