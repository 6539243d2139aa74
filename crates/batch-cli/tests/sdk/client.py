"""Drives `bex mcp` with the official Python SDK. Called by tests/mcp.rs: client.py BEX FOLDER; ends with "ok"."""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

BEX, FOLDER = sys.argv[1], sys.argv[2]
TOOLS = ["bex_run", "bex_wait", "bex_status", "bex_results", "bex_control", "batch_executor"]


def attribute(thing, *names):
    """The versions of the SDK spell some attributes in two ways."""
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    raise AttributeError(names)


@asynccontextmanager
async def client(*args):
    """A client with a server of its own."""
    parameters = StdioServerParameters(command=BEX, args=["mcp", *args], env=dict(os.environ), cwd=FOLDER)
    async with stdio_client(parameters) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield session


async def call(session, tool, arguments, error=False):
    result = await session.call_tool(tool, arguments)
    text = result.content[0].text
    is_error = bool(attribute(result, "isError", "is_error"))
    assert is_error == error, f"{tool} {arguments}: {text}"
    assert len(text) <= 32_000, f"{tool} answers with {len(text)} characters"
    structured = attribute(result, "structuredContent", "structured_content")
    assert isinstance(structured, dict), structured
    return text, structured


async def once(tool, arguments, error=False):
    """A server process for this call alone."""
    async with client() as session:
        return await call(session, tool, arguments, error)


async def every_tool_with_a_server_each():
    script = 'if [ $(({} % 4)) = 0 ]; then echo "cannot open /tmp/{}: No such file" >&2; exit 1; fi; echo got {}'
    text, run = await once("bex_run", {"shell": script.replace("{}", "$n").replace("if", "n={}; if", 1), "items": [str(n) for n in range(8)], "key": "every"})
    batch = run["batch"]
    assert run["completed"] == 6 and run["failed"] == 2, text
    again, second = await once("bex_run", {"shell": script.replace("{}", "$n").replace("if", "n={}; if", 1), "items": [str(n) for n in range(8)], "key": "every"})
    assert second["batch"] == batch and "already" in again, again
    text, status = await once("bex_status", {"batch": batch})
    cause = status["causes"][0]["cause"]
    assert status["causes"][0]["count"] == 2, text
    text, results = await once("bex_results", {"batch": batch, "cause": cause})
    assert [task["status"] for task in results["tasks"]] == ["failed", "failed"], text
    assert "data from the task" in text, text
    text, _ = await once("bex_results", {"batch": batch, "path": "out.json"})
    with open(os.path.join(FOLDER, "out.json")) as file:
        assert json.load(file)["metadata"]["failed"] == 2
    text, _ = await once("bex_control", {"batch": batch, "action": "retry", "cause": cause, "dry_run": True})
    assert "2 tasks" in text, text
    await once("bex_control", {"batch": batch, "action": "retry", "cause": cause})
    text, waited = await once("bex_wait", {"batch": batch, "timeout_s": 30})
    assert waited["failed"] == 2 and waited["cursor"], text
    tasks = [{"name": f"task {n}", "function": "shell", "params": {"script": f"echo {n}"}, "priority": "high"} for n in range(3)]
    text, _ = await once("batch_executor", {"action": "add_batch", "tasks": tasks})
    text, _ = await once("batch_executor", {"action": "start", "max_concurrent": 2, "timeout": 60})
    assert "Progress: 100.0%" in text, text
    text, _ = await once("batch_executor", {"action": "results", "format": "summary"})
    text, _ = await once("batch_executor", {"action": "results", "format": "json", "filter_status": "completed"})
    assert '"stdout":"2\\n"' in text, text
    await once("batch_executor", {"action": "export", "format": "csv", "output_file": "out.csv"})
    await once("batch_executor", {"action": "clear"})


async def a_batch_outlives_its_server():
    text, run = await once("bex_run", {"shell": "sleep 1; echo {}", "items": ["a", "b", "c"], "max_concurrent": 1, "wait_s": 0})
    assert run["state"] == "running", text
    text, waited = await once("bex_wait", {"batch": run["batch"], "timeout_s": 40})
    assert waited["state"] == "completed", text


async def ten_thousand_tasks_have_short_answers():
    path = os.path.join(FOLDER, "many.jsonl")
    with open(path, "w") as file:
        for n in range(10_000):
            file.write(json.dumps({"function": "simulate", "params": {"duration": 0, "fail": n % 100 == 0}, "max_retries": 0}) + "\n")
    async with client() as session:
        text, run = await call(session, "bex_run", {"file": "many.jsonl", "wait_s": 40})
        assert run["total"] == 10_000 and run["failed"] == 100, text
        assert len(text) <= 6_000, len(text)
        for tool, arguments in [("bex_results", {"batch": run["batch"]}), ("bex_status", {"batch": run["batch"]}), ("bex_results", {"batch": run["batch"], "limit": 1000})]:
            text, _ = await call(session, tool, arguments)
            assert len(text) <= 6_000, f"{tool}: {len(text)}"


async def many_causes_and_large_outputs_have_short_answers():
    async with client() as session:
        script = "w=$(echo {} | tr 0-9 a-j); echo \"error in module $w\" >&2; exit 1"
        text, run = await call(session, "bex_run", {"shell": script, "items": [str(n) for n in range(100, 400)], "wait_s": 40})
        assert run["failed"] == 300 and "300 causes" in text, text
        batch = run["batch"]
        for tool, arguments in [("bex_status", {}), ("bex_wait", {"cursor": run["cursor"]}), ("bex_results", {"limit": 300})]:
            text, _ = await call(session, tool, {"batch": batch, **arguments})
            assert len(text) <= 6_000, f"{tool}: {len(text)}"
        # Page by page, nothing is missing.
        seen, cursor = [], None
        while True:
            arguments = {"batch": batch, "limit": 300, "output": "none", **({"cursor": cursor} if cursor else {})}
            _, page = await call(session, "bex_results", arguments)
            seen += [task["task_id"] for task in page["tasks"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert seen == [f"{batch}.{n}" for n in range(1, 301)], len(seen)
        big = "head -c 1000000 /dev/zero | tr '\\0' x; printf '\\033[31m%s' {}"
        _, run = await call(session, "bex_run", {"shell": big, "items": ["end"], "wait_s": 40})
        text, _ = await call(session, "bex_results", {"batch": run["batch"]})
        assert len(text) <= 6_000 and "characters before this" in text and "\x1b" not in text, text[-200:]
        text, _ = await call(session, "bex_results", {"batch": run["batch"], "output": "full"})
        assert 20_000 < len(text) <= 32_000 and "more characters" in text, len(text)


async def wrong_arguments_are_answered_with_the_field():
    wrong = [
        ("bex_run", {}),
        ("bex_run", {"shel": "x"}),
        ("bex_run", {"shell": "echo '{}'", "items": ["a"]}),
        ("bex_run", {"shell": "echo {}"}),
        ("bex_run", {"tasks": "x"}),
        ("bex_run", {"tasks": [{"function": "simualte"}]}),
        ("bex_run", {"tasks": [{"shell": "true", "priority": "urgent"}]}),
        ("bex_run", {"file": "missing.json"}),
        ("bex_run", {"template": "none"}),
        ("bex_run", {"shell": "true", "items": ["a"], "max_concurrent": 0}),
        ("bex_run", {"shell": "true", "items": ["a"], "wait_s": "soon"}),
        ("bex_wait", {"batch": "b999"}),
        ("bex_wait", {"batch": 7}),
        ("bex_wait", {"cursor": "x"}),
        ("bex_wait", {"until": "never"}),
        ("bex_status", {"batch": "seven"}),
        ("bex_status", {"task": "b1.99999"}),
        ("bex_results", {"filter": "statos:failed"}),
        ("bex_results", {"cause": "c000000"}),
        ("bex_results", {"output": "loud"}),
        ("bex_results", {"path": "results"}),
        ("bex_control", {}),
        ("bex_control", {"action": "explode"}),
        ("bex_control", {"action": "cancel"}),
        ("bex_control", {"action": "set"}),
        ("batch_executor", {}),
        ("batch_executor", {"action": "add"}),
        ("batch_executor", {"action": "add_batch"}),
    ]
    async with client() as session:
        for tool, arguments in wrong:
            text, structured = await call(session, tool, arguments, error=True)
            assert structured.get("error"), f"{tool} {arguments}: {structured}"
        # And it still answers.
        await call(session, "bex_status", {})


async def limits_win_over_arguments():
    async with client("--max-concurrent", "2", "--deny", "http", "--max-tasks", "5") as session:
        text, _ = await call(session, "bex_run", {"shell": "echo {}", "items": ["a"], "max_concurrent": 50})
        assert "lowered from 50 to 2" in text, text
        await call(session, "bex_run", {"tasks": [{"http": {"url": "http://127.0.0.1:1/"}}]}, error=True)
        await call(session, "bex_run", {"shell": "echo {}", "items": list("abcdef")}, error=True)


async def a_plan_runs_nothing_and_progress_is_told():
    async with client() as session:
        before, _ = await call(session, "bex_status", {"all": True})
        text, plan = await call(session, "bex_run", {"shell": "touch planned-{}", "items": ["a", "b"], "plan": True})
        assert plan["tasks"] == 2 and "Nothing was run" in text, text
        after, _ = await call(session, "bex_status", {"all": True})
        assert before == after and not os.path.exists(os.path.join(FOLDER, "planned-a"))
        told = []

        async def on_progress(progress, total, message):
            told.append((progress, total))

        arguments = {"shell": "sleep 0.2; echo {}", "items": ["a", "b", "c"], "max_concurrent": 1, "wait_s": 40}
        await session.call_tool("bex_run", arguments, progress_callback=on_progress)
        assert told and told[-1] == (3, 3), told


async def two_clients_at_once():
    async def one(name):
        async with client() as session:
            text, run = await call(session, "bex_run", {"shell": "echo {}", "items": [name] * 20, "name": name})
            assert run["completed"] == 20 and run["name"] == name, text
            return run["batch"]

    batches = await asyncio.gather(*[one(name) for name in ("left", "right")])
    assert len(set(batches)) == 2, batches


async def tools_and_resources():
    began = time.monotonic()
    async with client() as session:
        tools = await session.list_tools()
        took = time.monotonic() - began
        assert [tool.name for tool in tools.tools] == TOOLS
        print(f"tools/list {took * 1000:.0f} ms after the start of the server")
        resources = await session.list_resources()
        uri = next(resource.uri for resource in resources.resources)
        contents = await session.read_resource(uri)
        assert "task_id" in contents.contents[0].text


async def main():
    await every_tool_with_a_server_each()
    await a_batch_outlives_its_server()
    await ten_thousand_tasks_have_short_answers()
    await many_causes_and_large_outputs_have_short_answers()
    await wrong_arguments_are_answered_with_the_field()
    await limits_win_over_arguments()
    await a_plan_runs_nothing_and_progress_is_told()
    await two_clients_at_once()
    await tools_and_resources()
    # Whatever still runs must not outlive the test.
    left = subprocess.run([BEX, "list", "--json"], capture_output=True, text=True, check=True)
    running = [batch["batch"] for batch in json.loads(left.stdout) if batch.get("pid")]
    assert running == [], running
    print("ok")


asyncio.run(main())
