"""Works on a store with py-key-value.

Arguments: `redis` and a URL, or `dynamodb`, an endpoint and a table; then `fernet:` with a key, or
several with commas between, to encrypt the values; then `compressed` to compress them before.
Standard input: a JSON list of steps, each a list of a verb and its arguments. Output: a JSON list
of the answers.
"""

import asyncio
import json
import sys


def store(kind, *place):
    if kind == "redis":
        from key_value.aio.stores.redis import RedisStore

        return RedisStore(url=place[0])
    from key_value.aio.stores.dynamodb import DynamoDBStore

    return DynamoDBStore(
        endpoint_url=place[0],
        table_name=place[1],
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def encrypted(store, keys):
    from cryptography.fernet import Fernet, MultiFernet
    from key_value.aio.wrappers.encryption.fernet import FernetEncryptionWrapper

    fernets = [Fernet(key) for key in keys.split(",")]
    fernet = MultiFernet(fernets) if len(fernets) > 1 else fernets[0]
    return FernetEncryptionWrapper(key_value=store, fernet=fernet)


def compressed(store):
    from key_value.aio.wrappers.compression import CompressionWrapper

    return CompressionWrapper(key_value=store)


async def perform(store, verb, collection, *arguments):
    if verb == "put":
        key, value, ttl = arguments
        return await store.put(key, value, collection=collection, ttl=ttl)
    if verb == "put_many":
        keys, values, ttl = arguments
        return await store.put_many(keys, values, collection=collection, ttl=ttl)
    if verb == "keys":
        # A wrapper has no such method.
        while hasattr(store, "key_value"):
            store = store.key_value
        return sorted(await store.keys(collection))
    # get, ttl, delete and their _many forms
    return await getattr(store, verb)(arguments[0], collection=collection)


async def main():
    place = sys.argv[1:]
    compresses = place[-1] == "compressed" and place.pop()
    keys = place[-1].startswith("fernet:") and place.pop().removeprefix("fernet:")
    async with store(*place) as opened:
        view = encrypted(opened, keys) if keys else opened
        view = compressed(view) if compresses else view
        answers = [await perform(view, *step) for step in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


asyncio.run(main())
