"""The state of sessions, by Python's FastMCP on a Redis server that Rust uses too.

Usage: state.py write URL      sets a value by a tool of a FastMCP server, and prints its session's id
       state.py read URL ID    prints the value that the session ID has
       state.py handle URL ID  prints the value in the state that the handle ID names
       state.py create URL     makes a handle with a value, and prints it
"""

import asyncio
import json
import sys

from fastmcp import Client, Context, FastMCP
from fastmcp.server.sessions import SessionProvider, get_session
from key_value.aio.stores.redis import RedisStore


async def main():
    verb, url, *arguments = sys.argv[1:]
    server = FastMCP("State", session_state_store=RedisStore(url=url))
    server.add_provider(SessionProvider())

    @server.tool
    async def remember(value: str, ctx: Context) -> str:
        await ctx.set_state("color", value)
        return ctx.session_id

    @server.tool
    async def recall(session_id: str) -> str:
        session = await get_session(session_id)
        return await session.get("color")

    @server.tool
    async def paint(session_id: str) -> None:
        session = await get_session(session_id)
        await session.set("color", "yellow")

    async with Client(server, mode="legacy") as client:
        if verb == "write":
            result = await client.call_tool("remember", {"value": "blue"})
            print(json.dumps(result.data))
        elif verb == "handle":
            result = await client.call_tool("recall", {"session_id": arguments[0]})
            print(json.dumps(result.data))
        elif verb == "create":
            made = await client.call_tool("create_session", {})
            await client.call_tool("paint", {"session_id": made.data})
            print(json.dumps(made.data))
        else:
            stored = await server._state_store.get(key=f"{arguments[0]}:color")
            print(json.dumps(stored.value))


asyncio.run(main())
