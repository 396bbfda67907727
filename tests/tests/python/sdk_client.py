"""Runs steps against an MCP server with the official Python SDK, and prints what came back.

Usage: sdk_client.py MODE TARGET STEPS
MODE is "auto" (the newest protocol) or "legacy" (the handshake); TARGET a URL, or a JSON list with
the command of a stdio server; STEPS a JSON list of [verb, name, arguments]. Prints a JSON list with
one object per step: {"ok": ...} or {"error": ...}.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult, PromptReference


def plain(value):
    """Returns the JSON form of an answer."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


async def answer(context, params):
    """Is the user who is asked."""
    return ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})


async def step(client, verb, name, arguments):
    match verb:
        case "list":
            return plain(await getattr(client, f"list_{name}")())[name]
        case "call":
            heard = []

            async def report(progress, total, message):
                heard.append(progress)

            result = plain(await client.call_tool(name, arguments, progress_callback=report))
            return {**result, "heard": heard}
        case "read":
            return plain(await client.read_resource(name))["contents"]
        case "prompt":
            return plain(await client.get_prompt(name, arguments))["messages"]
        case "complete":
            reference = PromptReference(type="ref/prompt", name=name)
            return plain(await client.complete(reference, arguments))["completion"]["values"]
    raise ValueError(f"unknown verb {verb}")


async def main():
    mode, target, steps = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if target.startswith("["):
        command, *args = json.loads(target)
        target = StdioServerParameters(command=command, args=args)
    answers = []
    async with Client(target, mode=mode, elicitation_callback=answer) as client:
        for verb, name, arguments in steps:
            try:
                answers.append({"ok": await step(client, verb, name, arguments)})
            except Exception as error:  # every failure is an answer to assert on
                answers.append({"error": str(error)})
    print(json.dumps(answers))


asyncio.run(main())
