#!/usr/bin/env python3
"""A session of an agent with `bex mcp`, through the official Python SDK (pip install mcp); prints what goes over the wire.

    examples/agents/session.py [BEX]

200 tasks, of which 12 fail for two causes: run, wait, results by cause, retry of one cause, export.
"""

import asyncio
import json
import os
import sys
import tempfile

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

BEX = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "bex"

# Every 25th page is missing, until somebody makes the folder; four hosts do not answer.
SCRIPT = (
    "n={}; if [ $((n % 25)) = 0 ]; then cat missing/$n; "
    "elif [ $((n % 50)) = 7 ]; then echo \"connect to 10.0.0.$n port 80: Connection refused\" >&2; exit 7; "
    "else echo page $n; fi"
)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, BEX_HOME=os.path.join(folder, "home"))
        server = StdioServerParameters(command=BEX, args=["mcp"], env=environment, cwd=folder)

        async def call(tool, arguments):
            # A server of its own for each call, as some clients do it.
            async with stdio_client(server) as (read, write):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    result = await session.call_tool(tool, arguments)
            shown = json.dumps(arguments)
            if len(shown) > 300:
                shown = shown[:250] + " … }"
            print(f"> {tool} {shown}\n{result.content[0].text}\n")
            return getattr(result, "structuredContent", None) or getattr(result, "structured_content", None)

        items = [str(n) for n in range(1, 201)]
        run = await call("bex_run", {"shell": SCRIPT, "items": items, "key": "pages", "max_concurrent": 4, "wait_s": 0})
        batch, cursor = run["batch"], run["cursor"]
        waited = await call("bex_wait", {"batch": batch, "cursor": cursor, "timeout_s": 40})
        causes = {cause["label"]: cause["cause"] for cause in waited["causes"]}
        missing = next(cause for label, cause in causes.items() if "No such file" in label)
        await call("bex_results", {"batch": batch, "cause": missing, "limit": 2})
        os.mkdir(os.path.join(folder, "missing"))
        for n in range(25, 201, 25):
            with open(os.path.join(folder, "missing", str(n)), "w") as file:
                file.write(f"page {n}\n")
        await call("bex_control", {"batch": batch, "action": "retry", "cause": missing})
        await call("bex_wait", {"batch": batch, "timeout_s": 40})
        await call("bex_results", {"batch": batch, "path": "pages.json"})


asyncio.run(main())
