"""A FastMCP server with one tool, over stateless streamable HTTP with JSON answers."""

import sys

from fastmcp import FastMCP

mcp = FastMCP("bench")


@mcp.tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


mcp.run(
    transport="http",
    port=int(sys.argv[1]),
    stateless_http=True,
    json_response=True,
    log_level="error",
    show_banner=False,
)
