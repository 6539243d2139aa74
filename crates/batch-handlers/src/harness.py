"""Calls process(**args) of a file; writes what it returns, or what went wrong, to another as JSON."""

import errno
import json
import os
import sys
import time
import traceback
import types


def main(code_path, args_path, answer_path):
    with open(args_path, encoding="utf-8") as file:
        args = json.load(file)
    with open(code_path, encoding="utf-8") as file:
        source = file.read()
    sys.argv = [code_path]
    sys.path[0] = os.getcwd()
    # A module of its own: the code is no script, and what it defines must be found by its name.
    module = types.ModuleType("task_function")
    module.__file__ = code_path
    sys.modules[module.__name__] = module

    def answer(text):
        while True:
            try:
                with open(answer_path, "w", encoding="utf-8") as file:
                    file.write(text)
                return
            except OSError as error:
                # A full disk is waited for, as it is with output.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
            time.sleep(0.5)

    def show(error):
        """Prints the traceback from the user's code on: what stands above would only hide it."""
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename != code_path:
            frames = frames.tb_next
        error.__traceback__ = frames
        traceback.print_exception(type(error), error, frames)

    def fail(problem, permanent):
        sys.stdout.flush()
        sys.stderr.flush()
        # A text of Python may hold half a character, which is none of UTF-8.
        problem = problem.encode("utf-8", "replace").decode("utf-8")
        answer(json.dumps({"problem": problem, "permanent": permanent}))
        sys.exit(1)

    try:
        code = compile(source, code_path, "exec")
    except (SyntaxError, ValueError) as error:
        show(error)
        fail(f"{type(error).__name__}: {error}", True)
    try:
        exec(code, module.__dict__)
    except Exception as error:
        show(error)
        fail(f"{type(error).__name__}: {error}", False)
    process = module.__dict__.get("process")
    if not callable(process):
        fail("the code defines no function process(**args)", True)
    try:
        result = process(**args)
        if hasattr(result, "__await__"):
            result = wait_for(result)
    except Exception as error:
        show(error)
        # Raised by the call itself and by nothing inside: the arguments do not fit.
        misfit = isinstance(error, TypeError) and error.__traceback__ is None
        fail(f"{type(error).__name__}: {error}", misfit)
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        fail(f"process() returned what JSON cannot hold: {error}", False)
    answer('{"value": ' + text + "}")


def wait_for(awaitable):
    # Imported here, since it takes longer than everything else.
    import asyncio

    async def finish():
        return await awaitable

    return asyncio.run(finish())


main(*sys.argv[1:4])
