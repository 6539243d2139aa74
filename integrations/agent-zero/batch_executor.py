"""The tool `batch_executor` for Agent Zero: batches of tasks that survive the call, by way of `bex tool`.

Put this file into the folder of tools (`python/tools/`, or `tools/` in newer versions) and the prompt beside it into
`prompts/`. `bex` must be on the PATH, or named by BEX.

Agent Zero makes a new object for each call. Nothing is kept here: the batch lies in a file, and whoever asks next finds it.
"""

import asyncio
import json
import os

try:
    from python.helpers.tool import Response, Tool
except ImportError:
    from helpers.tool import Response, Tool

# bex answers within 45 seconds; Agent Zero gives up after 120.
LIMIT_SECONDS = 90


class BatchExecutor(Tool):
    """One call of `batch_executor`, or of any of the `bex_…` tools by `tool`."""

    async def execute(self, **kwargs):
        arguments = {name: value for name, value in {**(self.args or {}), **kwargs}.items() if value is not None}
        tool = arguments.pop("tool", "batch_executor")
        if isinstance(getattr(self, "method", None), str) and self.method and "action" not in arguments:
            # Written as batch_executor:status.
            arguments["action"] = self.method
        return Response(message=await call(tool, arguments), break_loop=False)


async def call(tool, arguments):
    """Has bex answer one request; always gives a text for the model."""
    program = os.environ.get("BEX", "bex")
    request = json.dumps({"tool": tool, "arguments": arguments}) + "\n"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "tool",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return f"bex cannot be started ({program}: {error}). Install it, or name it with the variable BEX."
    try:
        out, err = await asyncio.wait_for(process.communicate(request.encode()), LIMIT_SECONDS)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return "bex did not answer in time; the batch goes on. Ask again with action status."
    try:
        return json.loads(out)["text"]
    except (ValueError, KeyError):
        return f"bex gave no answer: {err.decode(errors='replace').strip() or 'it ended at once'}"
