"""Runs steps against an MCP server with the real Python FastMCP client, and prints what came back.

Usage: client.py MODE TARGET STEPS
MODE is "auto" (the newest protocol) or "legacy" (the handshake); TARGET a URL, or a JSON list with
the command of a stdio server; STEPS a JSON list of [verb, name, arguments], with the version of the component after
them where that matters. Prints a JSON list with
one object per step: {"ok": ...} or {"error": ...}.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


def plain(value):
    """Returns the JSON form of an answer."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


async def step(client, verb, name, arguments, version=None):
    match verb:
        case "call":
            result = await client.call_tool(
                name, arguments, version=version, raise_on_error=False
            )
            return {
                "text": "".join(getattr(block, "text", "") for block in result.content),
                "structured": result.structured_content,
                "is_error": result.is_error,
            }
        case "read":
            return plain(await client.read_resource(name))
        case "prompt":
            return plain(await client.get_prompt(name, arguments))
        case "list":
            return plain(await getattr(client, f"list_{name}")())
    raise ValueError(f"unknown verb {verb}")


async def main():
    mode, target, steps = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if target.startswith("["):
        command, *args = json.loads(target)
        target = StdioTransport(command=command, args=args, keep_alive=False)
    answers = []
    async with Client(target, mode=mode, timeout=20) as client:
        for arguments in steps:
            try:
                answers.append({"ok": await step(client, *arguments)})
            except Exception as error:  # every failure is an answer to assert on
                answers.append({"error": str(error)})
    print(json.dumps(answers))


asyncio.run(main())
