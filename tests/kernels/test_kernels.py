"""A lab in real kernels: the oldest ipykernel the kit takes, the first one with sub-shells, and the
installed one.

A browser sends a widget's moves to the kernel's main shell, which hears them between cells, or to a
sub-shell, which hears them while a cell runs. These tests send the same messages, without a
browser.
"""

import time

import psutil
import pytest

from tests.kernels.kernel_driver import Kernel

pytestmark = pytest.mark.kernels

# Cells that keep the main shell busy until the move is heard, or for a second or two; `early` says
# if it was.
BUSY = {
    "a loop": """
print("busy", flush=True)
end = time.monotonic() + {seconds}
while time.monotonic() < end and not heard:
    time.sleep(0.01)
early = bool(heard)
""",
    "live.wait": """
live.step(150)
print("busy", flush=True)
live.wait()
early = bool(heard)
live.start()
""",
}
DRAW = """
explorer = LossExplorer()
picture = explorer.widget.children[-1]
explorer.picture  # waits until the first is drawn
drawn_by = []
picture.observe(lambda change: drawn_by.append(threading.current_thread().name), "value")
"""
DRAWN = """
print("busy", flush=True)
end = time.monotonic() + {seconds}
while time.monotonic() < end and not drawn_by:
    time.sleep(0.01)
early = bool(drawn_by)
"""


def move_in_peace(kernel: Kernel, model: str, **state) -> None:
    """Move a widget while no cell runs. From ipykernel 7.4 on, the first move of a widget that a
    cell has made or written to goes to the main shell, whatever the browser asks for; the moves
    after it go where they should."""
    kernel.handled(kernel.move(model, **state))


def has_alpha(kernel: Kernel, alpha: float) -> bool:
    """Whether every step but the one that was under way when the move was heard has the new α;
    waits for three.
    """
    kernel.run("until(lambda: heard and len(live.history) > heard[-1] + 3)")
    return kernel.ask(f"all(row['alpha'] == {alpha} for row in live.history[heard[-1] + 1:])")


@pytest.mark.parametrize("busy", BUSY)
def test_alpha_is_moved_while_a_cell_runs(kernel, busy):
    slider = kernel.ask("slider.model_id")
    kernel.run("slider.value = 1.0")
    move_in_peace(kernel, slider, value=2.0)
    assert has_alpha(kernel, 2.0)
    kernel.run("heard.clear()")
    cell = kernel.begin_busy(BUSY[busy].format(seconds=20 if kernel.subshell else 1))
    message = kernel.move(slider, value=50.0)
    assert kernel.reply(cell)["status"] == "ok"
    kernel.handled(message)
    assert kernel.ask("early") == bool(kernel.subshell)
    assert has_alpha(kernel, 50.0)


def test_a_move_right_after_a_cell_wrote_to_the_widget_is_not_lost(kernel):
    slider = kernel.ask("slider.model_id")
    cell = kernel.begin_busy(
        "slider.value = 5.0\nheard.clear()\n" + BUSY["a loop"].format(seconds=0.5)
    )
    message = kernel.move(slider, value=60.0)
    assert kernel.reply(cell)["status"] == "ok"
    kernel.handled(message)
    assert has_alpha(kernel, 60.0)


def test_a_thread_of_the_widget_draws_and_sends_while_it_trains(kernel):
    kernel.run(DRAW)
    alpha, picture = kernel.ask("[explorer.widget.children[0].model_id, picture.model_id]")

    def shows(text):
        return lambda message: (
            message["msg_type"] == "comm_msg"
            and message["content"]["comm_id"] == picture
            and text in message["content"]["data"]["state"]["value"]
        )

    kernel.move(alpha, index=0)
    kernel.said(shows("α = 0, "))
    kernel.run("explorer.picture\ndrawn_by.clear()")
    cell = kernel.begin_busy(DRAWN.format(seconds=20 if kernel.subshell else 0.5))
    kernel.move(alpha, index=10)
    kernel.said(shows("reward alone, "))
    assert kernel.reply(cell)["status"] == "ok"
    assert kernel.ask("early") == bool(kernel.subshell)
    kernel.run("until(lambda: drawn_by)")
    assert set(kernel.ask("drawn_by")) == {"rmlib redraw"}
    assert kernel.ask("live.state") == "training"


def test_the_live_widget_is_moved_and_shows_it(kernel):
    kernel.run("lab = LiveTraining(live)\nlab.widget\nlab.picture")
    controls = kernel.ask("{w.description: w.model_id for w in lab.widget.children[0].children}")
    kernel.run("at = len(live.history)")
    kernel.move(controls["α"], index=8)
    kernel.said(
        lambda m: (
            m["msg_type"] == "comm_msg"
            and "Active: α = 30" in str(m["content"]["data"].get("state"))
        )
    )
    kernel.run("until(lambda: live.history[-1]['alpha'] == 30)")
    assert kernel.ask("lab.alpha") == 30
    kernel.run("live.close()")


def test_an_exception_on_the_thread_reaches_the_next_touch(kernel):
    kernel.run("live = new_lab(evaluate=lambda: 1 / 0, every=2)\nlive.start()")
    assert kernel.error("live.wait()") == "ZeroDivisionError"
    assert kernel.error("live.alpha = 3") == "ZeroDivisionError"
    kernel.handled(
        kernel.move(kernel.ask("slider.model_id"), value=70.0)
    )  # nobody to tell, but the kernel goes on
    assert kernel.error("live.history") == "ZeroDivisionError"
    kernel.run("live.close()")
    assert kernel.ask("heard") == []


def test_an_interrupted_cell_leaves_the_lab_alive_and_closable(kernel):
    cell = kernel.begin_busy('print("busy", flush=True)\nlive.wait()')
    kernel.manager.interrupt_kernel()
    assert kernel.reply(cell)["ename"] == "KeyboardInterrupt"
    assert kernel.ask("live.state") == "training"
    kernel.handled(kernel.move(kernel.ask("slider.model_id"), value=80.0))
    assert has_alpha(kernel, 80.0)
    kernel.run("live.close()")
    assert kernel.ask("[t.name for t in threading.enumerate() if t.name == 'rmlib live']") == []


def test_a_kernel_that_trains_ends_when_it_is_told_to(kernel):
    parent = psutil.Process(kernel.manager.provisioner.pid)
    processes = [parent, *parent.children(recursive=True)]
    kernel.run("live.speed = math.inf")
    begun = time.monotonic()
    kernel.client.shutdown()
    while kernel.manager.is_alive():
        assert time.monotonic() < begun + 10, "the kernel does not end by itself"
        time.sleep(0.05)
    assert not any(process.is_running() for process in processes)


def test_a_kernel_that_waits_in_a_cell_is_shut_down(new_kernel):
    kernel = new_kernel("installed")
    kernel.run("live = new_lab()\nlive.start()")
    process = psutil.Process(kernel.manager.provisioner.pid)
    kernel.begin_busy('print("busy", flush=True)\nlive.wait()')
    begun = time.monotonic()
    kernel.manager.shutdown_kernel()  # asks, and after a while sends a signal, as JupyterLab does
    assert time.monotonic() < begun + 8
    assert not process.is_running()
    kernel.close()
