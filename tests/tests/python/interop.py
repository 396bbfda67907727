"""Works on a store with py-key-value.

Arguments: `redis` and a URL, or `dynamodb`, an endpoint and a table; then `fernet:` with a key to
encrypt the values. Standard input: a JSON list of
steps, each a list of a verb and its arguments. Output: a JSON list of the answers.
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


def encrypted(store, key):
    from cryptography.fernet import Fernet
    from key_value.aio.wrappers.encryption.fernet import FernetEncryptionWrapper

    return FernetEncryptionWrapper(key_value=store, fernet=Fernet(key))


async def perform(store, verb, collection, *arguments):
    if verb == "put":
        key, value, ttl = arguments
        return await store.put(key, value, collection=collection, ttl=ttl)
    if verb == "put_many":
        keys, values, ttl = arguments
        return await store.put_many(keys, values, collection=collection, ttl=ttl)
    if verb == "keys":
        # A wrapper has no such method.
        listing = getattr(store, "key_value", store)
        return sorted(await listing.keys(collection))
    # get, ttl, delete and their _many forms
    return await getattr(store, verb)(arguments[0], collection=collection)


async def main():
    *place, last = sys.argv[1:]
    key = last.removeprefix("fernet:") if last.startswith("fernet:") else None
    async with store(*place, *([] if key else [last])) as opened:
        view = encrypted(opened, key) if key else opened
        answers = [await perform(view, *step) for step in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


asyncio.run(main())
