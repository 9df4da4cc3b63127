"""A kernel in a process of its own, driven as a notebook in a browser drives it. For the tests in
this folder.
"""

import ast
import contextlib
import os
import queue
import time

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

SECONDS = 30.0  # how long anything may take on a busy machine


class Kernel:
    """A kernel that is installed in the folder `specs`, and a client that talks to it."""

    def __init__(self, specs, name: str):
        self.manager = KernelManager(
            kernel_name=name, kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)])
        )
        self.manager.start_kernel(env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.subshell: str | None = None  # where the moves of widgets go; None is the main shell

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def begin(self, code: str) -> str:
        """Send a cell and return at once; the id of its message."""
        return self.client.execute(code, stop_on_error=False)

    def reply(self, cell: str) -> dict:
        """What became of a cell, as soon as it has ended."""
        while True:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == cell:
                return message["content"]

    def run(self, code: str) -> None:
        reply = self.reply(self.begin(code))
        assert reply["status"] == "ok", "\n".join(reply["traceback"])

    def error(self, code: str) -> str:
        """The name of the exception that a cell ends with."""
        return self.reply(self.begin(code))["ename"]

    def ask(self, expression: str):
        """The value of an expression made of numbers, texts and lists."""
        cell = self.client.execute("", silent=True, user_expressions={"it": expression})
        found = self.reply(cell)["user_expressions"]["it"]
        assert found["status"] == "ok", found
        return ast.literal_eval(found["data"]["text/plain"])

    def said(self, wanted) -> dict:
        """The next message to everybody that `wanted(message)` is true of; the ones before it are
        dropped.
        """
        end = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(queue.Empty):
                message = self.client.get_iopub_msg(timeout=0.2)
                if wanted(message):
                    return message
            assert time.monotonic() < end, "the kernel never said it"

    def begin_busy(self, code: str) -> str:
        cell = self.begin(code)
        self.said(
            lambda message: message["msg_type"] == "stream" and "busy" in message["content"]["text"]
        )
        return cell

    def move(self, model: str, **state) -> str:
        """Set traits of a widget as the browser does; the id of the message."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        message = self.client.session.msg("comm_msg", {"comm_id": model, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def handled(self, message: str) -> None:
        """Wait until the kernel has done all that it does about a message."""
        idle = (message, "idle")
        self.said(
            lambda m: (
                idle == (m["parent_header"].get("msg_id"), m["content"].get("execution_state"))
            )
        )

    def new_subshell(self) -> str:
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return self.client.get_control_msg(timeout=SECONDS)["content"]["subshell_id"]
