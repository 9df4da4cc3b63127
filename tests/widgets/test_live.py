"""The live training: heard at the next step, never stuck, nothing lost, whatever is done to it and
when.
"""

import math
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import floats, integers, sampled_from

from rmlib.errors import RmlibValueError
from rmlib.models.encoder import new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.widgets.live.live import Live, reopen
from rmlib.widgets.live.sessions import replay

PLAIN = {"epochs": 40, "max_tokens": 256, "precision": "fp32", "lr": 0.005}


@pytest.fixture
def fresh(tiny, small):
    def make(**settings):
        tagger = new_tagger(small.tags, str(tiny), dropout=0.1)
        return Training(tagger, tagger.encode(small.train).examples, Config(**PLAIN | settings))

    return make


@pytest.fixture
def live(fresh):
    live = Live(fresh())
    yield live
    live.close()


def weights(live):
    return {
        name: p.detach().clone()
        for name, p in live.session.training.classifier.model.named_parameters()
    }


def until(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def test_a_move_is_heard_within_two_steps(live):
    live.start()
    for alpha in (3.0, 0.0, math.inf, 0.1):
        until(lambda: len(live.history) > 3)
        before = len(live.history)
        live.alpha = alpha
        until(lambda: len(live.history) > before + 2)  # noqa: B023
        assert all(row["alpha"] == alpha for row in live.history[before + 1 :])
        assert live.alpha == alpha


def test_pause_holds_and_step_takes_just_so_many(live):
    assert live.state == "new"
    live.step(3)
    live.wait()
    assert len(live.history) == 3 and live.state == "holding"
    time.sleep(0.1)
    assert len(live.history) == 3
    live.start()
    assert live.state == "training"
    until(lambda: len(live.history) > 6)
    live.pause()
    live.wait()
    held = len(live.history)
    time.sleep(0.1)
    assert len(live.history) == held
    live.resume()
    until(lambda: len(live.history) > held)
    live.stop()
    live.join(20)
    assert live.state == "closed"


def test_a_run_ends_and_can_go_back(fresh):
    live = Live(fresh(epochs=1))
    live.snapshot("start")
    live.start()
    live.wait()
    steps = len(live.session.training)
    assert live.state == "finished" and len(live.history) == steps
    live.back_to("start")
    live.start()
    live.wait()
    assert len(live.history) == 2 * steps
    first, again = live.history[:steps], live.history[steps:]
    assert [row["total"] for row in first] == [row["total"] for row in again]
    live.close()


def test_a_schedule_is_played_and_written_down(live, fresh):
    live.alpha = lambda step: step / 10
    live.step(5)
    live.wait()
    assert [row["alpha"] for row in live.history] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [move["value"] for move in live.moves] == [0.0, 0.1, 0.2, 0.3, 0.4]
    again = replay(fresh(), live.moves, 5)
    assert [row["total"] for row in again.history] == [row["total"] for row in live.history]


def test_what_was_done_live_can_be_played_again(live, fresh):
    live.snapshot("start")
    live.start()
    for alpha, reward, factor in (
        (1.0, "soft_f1", 1.0),
        (10.0, "entity_f1", 0.5),
        (0.0, "gce", 2.0),
    ):
        before = len(live.history)
        live.alpha, live.reward, live.lr_factor = alpha, reward, factor
        until(lambda: len(live.history) > before + 3)  # noqa: B023
    live.back_to("start")
    live.freeze = "encoder"
    before = len(live.history)
    until(lambda: len(live.history) > before + 3)
    live.pause()
    live.wait()
    again = replay(fresh(), live.moves, len(live.history))
    assert all(
        p.detach().equal(weights(live)[name])
        for name, p in again.training.classifier.model.named_parameters()
    )


def test_evaluation_keeps_its_own_time(fresh):
    inside, go = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go.wait(20)
        return {"dev_f1": 0.25}

    live = Live(fresh(), evaluate=slow, every=3)
    live.start()
    assert inside.wait(20)
    start = time.perf_counter()
    live.alpha = 30.0  # returns though an evaluation is under way
    assert live.alpha == 30.0 and time.perf_counter() - start < 0.1
    go.set()
    until(lambda: len(live.history) > 6)
    live.close()
    assert live.history[2]["dev_f1"] == 0.25 and "dev_f1" not in live.history[1]
    assert live.history[3]["alpha"] == 30.0


@pytest.mark.parametrize("touch", ["alpha", "history", "moves", "state"])
def test_an_exception_reaches_the_next_touch_and_join(fresh, touch):
    live = Live(fresh(), evaluate=lambda: 1 / 0, every=2)
    live.start()
    until(lambda: not live._thread.is_alive())
    with pytest.raises(ZeroDivisionError):
        getattr(live, touch)
    with pytest.raises(ZeroDivisionError):
        live.alpha = 3
    with pytest.raises(ZeroDivisionError):
        live.join()
    live.close()
    assert (
        len(live.session.history) == 1
    )  # the step that failed to be evaluated is not told as done


def test_a_schedule_that_fails_reaches_the_reader(live):
    live.alpha = lambda step: -1 if step == 2 else 1
    live.start()
    until(lambda: not live._thread.is_alive())
    with pytest.raises(ValueError, match="alpha is -1"):
        live.join()


def test_the_cell_run_again_closes_the_lab_before(fresh):
    first = Live(fresh(), name="lab")
    first.start()
    second = Live(fresh(), name="lab")
    assert not first._thread.is_alive() and first.state == "closed"
    second.close()
    second.close()
    assert [t for t in threading.enumerate() if t.name == "rmlib lab"] == []


def test_two_labs_do_not_mix(fresh):
    labs = [Live(fresh(), name=name) for name in ("one", "two")]
    labs[1].reward, labs[1].alpha = "gce", 5.0
    for lab in labs:
        lab.start()
    until(lambda: all(len(lab.history) > 12 for lab in labs))
    for lab in labs:
        lab.pause()
        lab.wait()
    for lab in labs:
        again = replay(fresh(), lab.moves, len(lab.history))
        assert [row["total"] for row in again.history] == [row["total"] for row in lab.history]
        lab.close()


LEFT = """
import sys, time
from rmlib.text import corpora
from rmlib.training.config import Config
from rmlib.models.encoder import new_tagger
from rmlib.widgets.live.live import Live, reopen
from rmlib.training.loop import Training
corpus = corpora.load(sys.argv[1])
tagger = new_tagger(corpus.tags, sys.argv[2])
config = Config(epochs=1000, max_tokens=256)
live = Live(Training(tagger, tagger.encode(corpus.train).examples, config))
live.start()
while len(live.history) < 3:
    time.sleep(0.01)
print("left", flush=True)
"""


def test_leaving_python_ends_it(tiny, small_folder):
    command = [sys.executable, "-c", LEFT, str(small_folder), str(tiny)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stdout, said.stderr) == (0, "left\n", "")


def test_a_speed_limit_is_kept_and_not_felt(live):
    live.speed = 20
    live.start()
    time.sleep(1.0)
    assert len(live.history) <= 25
    live.speed = 0.01
    until(lambda: live.history)
    time.sleep(0.2)
    start = time.perf_counter()
    live.stop()
    live.join(20)
    assert time.perf_counter() - start < 2
    with pytest.raises(RmlibValueError, match="speed is 0; expected a number above 0"):
        live.speed = 0


class Moves(RuleBasedStateMachine):
    """Random moves, pauses, snapshots and stops, as fast as they come."""

    make = None

    def __init__(self):
        super().__init__()
        self.live, self.names, self.stopped = Live(type(self).make(), name="moves"), [], False

    @rule()
    def start(self):
        self.live.start()

    @rule(steps=integers(1, 4))
    def step(self, steps):
        self.live.step(steps)
        self.live.wait(30)

    @rule()
    def pause(self):
        self.live.pause()
        self.live.wait(30)
        held = len(self.live.history)
        assert len(self.live.history) == held

    @rule(alpha=floats(0, 100))
    def alpha(self, alpha):
        self.live.alpha = alpha
        assert self.live.alpha == alpha

    @rule(reward=sampled_from(["soft_f1", "gce", "entity_f1", "smooth_ap"]))
    def reward(self, reward):
        self.live.reward = reward

    @rule(factor=sampled_from([0.0, 0.5, 1.0, 2.0]))
    def lr(self, factor):
        self.live.lr_factor = factor

    @rule(what=sampled_from(["embeddings", "1", "encoder"]))
    def freeze(self, what):
        self.live.freeze = what

    @rule()
    def snapshot(self):
        self.names.append(f"s{len(self.names)}")
        self.live.snapshot(self.names[-1])

    @rule(which=integers(0, 100))
    def back(self, which):
        if self.names:
            self.live.back_to(self.names[which % len(self.names)])

    @rule()
    def wrong(self):
        with pytest.raises(ValueError):
            self.live.alpha = -1

    @invariant()
    def history_is_consistent(self):
        history = self.live.history
        assert [row["step_index"] for row in history] == list(range(len(history)))
        for row in history:
            assert math.isfinite(row["total"])
        ticks = [move["step_index"] for move in self.live.moves]
        assert ticks == sorted(ticks)

    def teardown(self):
        self.live.pause()
        self.live.wait(30)
        history, moves = self.live.history, self.live.moves
        self.live.close()
        assert not self.live._thread.is_alive()
        force = {"alpha": 1.0, "reward": "soft_f1", "lr_factor": 1.0, "freeze": "embeddings"}
        for row in history:  # what was in force is what the moves say
            force |= {
                m["control"]: m["value"]
                for m in moves
                if m["step_index"] == row["step_index"] and m["control"] in force
            }
            assert (row["alpha"], row["reward_type"]) == (force["alpha"], force["reward"])
            assert (row["lr_factor"], row["freeze"]) == (force["lr_factor"], force["freeze"])


@pytest.mark.parametrize("sequences", [4, pytest.param(20, marks=pytest.mark.long)])
def test_random_moves(fresh, sequences):
    Moves.make = staticmethod(fresh)
    Moves.TestCase.settings = settings(
        max_examples=sequences,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    Moves.TestCase("runTest").runTest()


def test_reopen_finds_the_open_lab_and_makes_another_where_there_is_none(fresh):
    make = lambda name: Live(fresh(), name=name)  # noqa: E731
    first = reopen("again", make)
    first.step(2)
    first.wait()
    assert reopen("again", make) is first and len(first.history) == 2
    first.close()
    second = reopen("again", make)
    assert second is not first and second.history == []
    second.close()


def test_reopen_passes_over_a_lab_that_has_failed(fresh):
    def fail():
        raise KeyError("gone")

    first = Live(fresh(), evaluate=fail, every=1, name="failing")
    first.step()
    with pytest.raises(KeyError):
        first.join(20)
    second = reopen("failing", lambda name: Live(fresh(), name=name))
    assert second is not first
    second.close()


def test_the_listener_hears_every_step_and_the_end(live):
    heard = []
    live.callback = lambda: heard.append(
        (len(live.session.history), threading.current_thread().name)
    )
    live.step(3)
    live.wait()
    assert [one for one in heard if one[1] == "rmlib live"] == [
        (n, "rmlib live") for n in (1, 2, 3)
    ]
    assert len(heard) == 4  # and the touch itself, from here
    live.alpha = 3.0
    assert heard[4:] == [(3, "MainThread")]
    live.close()
    assert len(heard) == 6
