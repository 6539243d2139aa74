"""Calls the tool as Agent Zero does: a new object for each call, with a stand-in of its classes. Ends with "ok"."""

import asyncio
import importlib.util
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Response:
    message: str
    break_loop: bool


class Tool:
    """As far as the tool can tell, Agent Zero's."""

    def __init__(self, agent, name, method, args, message, **kwargs):
        self.agent, self.name, self.method, self.args, self.message = agent, name, method, args, message


def load():
    helpers = types.ModuleType("helpers.tool")
    helpers.Response, helpers.Tool = Response, Tool
    sys.modules["helpers"] = types.ModuleType("helpers")
    sys.modules["helpers.tool"] = helpers
    path = Path(__file__).parent.parent / "batch_executor.py"
    spec = importlib.util.spec_from_file_location("batch_executor", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(module, args, method=None):
    """One call from its beginning to its end, in a loop of its own, as another process would."""

    async def run():
        tool = module.BatchExecutor(None, "batch_executor", method, args, "")
        return await tool.execute(**args)

    response = asyncio.run(run())
    assert response.break_loop is False
    return response.message


def main():
    module = load()
    tasks = [
        {"name": f"task {n}", "function": "shell", "params": {"script": f"echo {n}; test {n} != 2"}, "priority": "high", "max_retries": 0}
        for n in range(4)
    ]
    text = call(module, {"action": "add_batch", "tasks": tasks})
    assert "b1.1 to b1.4" in text, text
    text = call(module, {"action": "add", "name": "one more", "function": "command", "params": {"argv": ["echo", "more"]}})
    assert "b1.5" in text, text
    text = call(module, {"action": "start", "max_concurrent": 2, "timeout": 60})
    assert "Progress: 100.0%" in text, text
    text = call(module, {}, method="status")
    assert "4 completed, 1 failed" in text and "1 cause" in text, text
    text = call(module, {"action": "results", "format": "summary"})
    assert "Progress: 100.0%" in text, text
    text = call(module, {"action": "results", "format": "text", "filter_status": "failed"})
    assert "b1.3 failed" in text, text
    text = call(module, {"action": "export", "format": "json", "output_file": "out.json"})
    assert os.path.exists("out.json"), text
    text = call(module, {"action": "cancel", "task_id": "b1.1"})
    assert "already completed" in text, text
    text = call(module, {"action": "clear"})
    assert "5 tasks cleared" in text, text
    text = call(module, {"action": "explode"})
    assert "must be one of add, add_batch" in text, text
    text = call(module, {"tool": "bex_run", "shell": "echo {}", "items": ["a"], "wait_s": 30})
    assert "1 completed" in text, text
    os.environ["BEX"] = "/no/such/bex"
    text = call(module, {"action": "status"})
    assert "cannot be started" in text, text
    print("ok")


main()
