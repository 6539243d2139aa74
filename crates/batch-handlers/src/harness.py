"""Calls process(**args) of a file and writes what it returns as JSON to another."""

import asyncio
import inspect
import json
import os
import sys
import traceback


def main(code_path, args_path, result_path):
    with open(args_path, encoding="utf-8") as file:
        args = json.load(file)
    with open(code_path, encoding="utf-8") as file:
        source = file.read()
    sys.argv = [code_path]
    sys.path[0] = os.getcwd()
    scope = {"__name__": "__main__", "__file__": code_path}
    try:
        exec(compile(source, code_path, "exec"), scope)
        process = scope.get("process")
        if not callable(process):
            sys.exit("the code must define process(**args)")
        result = process(**args)
        if inspect.isawaitable(result):
            result = asyncio.run(finish(result))
    except Exception as error:
        # The frames of this file would only hide the ones of the user's.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exc()
        sys.stderr.flush()
        sys.exit(1)
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        sys.exit(f"process() returned what JSON cannot hold: {error}")
    with open(result_path, "w", encoding="utf-8") as file:
        file.write(text)


async def finish(awaitable):
    return await awaitable


main(*sys.argv[1:4])
