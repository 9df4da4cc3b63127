"""The live lab's widget on a real training of a tiny BERT: its controls, picture and texts."""

import csv
import html
import math
import re
import threading
import time

import numpy as np
import pytest

from rmlib.errors import RmlibValueError
from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import new_tagger
from rmlib.text.conll import Sentence
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.widgets import LiveTraining
from rmlib.widgets.live import figure, widget
from rmlib.widgets.live.dev_monitor import DevMonitor
from rmlib.widgets.live.live import Live
from rmlib.widgets.live.sessions import read_moves, replay
from tests.widgets.test_live import until

NASTY = Sentence(("<script>alert(1)</script>", "&", "Rose"), ("O", "O", "B-PER"))


@pytest.fixture
def make(tiny, small):
    """`make(evaluate=..., every=...)`: a live training of a tiny BERT; closed at the end."""
    made = []

    def make(name="widget", watched=False, epochs=40, **others):
        tagger = new_tagger(small.tags, str(tiny), dropout=0.1)
        config = Config(epochs=epochs, max_tokens=256, precision="fp32", lr=0.005)
        evaluate = (
            {"evaluate": DevMonitor(tagger, small.dev, [NASTY, *small.dev[:2]])} if watched else {}
        )
        made.append(
            Live(
                Training(tagger, tagger.encode(small.train).examples, config),
                name=name,
                **evaluate | others,
            )
        )
        return made[-1]

    yield make
    for live in made:
        live.close()


def status(lab) -> str:
    """What the two lines under the buttons say, without their tags."""
    page = lab._status.value + " " + lab._progress.value
    return " ".join(html.unescape(re.sub("<[^>]*>", "", page)).split())


def settled(lab) -> str:
    lab.picture  # noqa: B018  waits until it is drawn
    return status(lab)


def button(lab, label):
    """The button that is called so when all is drawn."""
    lab.widget  # noqa: B018
    lab._redraw.wait()
    (found,) = [
        one for row in lab.widget.children[:3] for one in row.children if one.description == label
    ]
    return found


def hold(lab):
    lab.pause()
    lab.live.wait()


def test_every_control_has_a_visible_name(make):
    lab = LiveTraining(make())
    named = [one.description for row in lab.widget.children[:3] for one in row.children]
    assert named == [
        *("α", "reward", "lr ×", "freeze", "steps/s ≤"),
        *("train", "one step", "keep a snapshot", "save", "snapshot", "go back"),
    ]
    assert list(lab._controls["reward"].options) == [
        n for n, r in REWARDS.items() if "tokens" in r.levels
    ]
    assert (
        lab._controls["freeze"].options[0] == "embeddings"
    )  # what is frozen at the start is not offered to thaw


def test_the_controls_set_what_the_next_step_takes(make):
    lab = LiveTraining(make())
    assert settled(lab).startswith("new. Active: α = 1, soft_f1, lr × 1, freeze embeddings.")
    lab._controls["alpha"].value = 10.0  # as by hand
    lab._controls["reward"].value = "gce"
    lab.lr_factor, lab.freeze = 0.3, "encoder"
    assert (lab._controls["lr_factor"].value, lab._controls["freeze"].value) == (0.3, "encoder")
    assert "The next step takes: α = 10, gce, lr × 0.3, freeze encoder." in settled(lab)
    lab.step(2)
    lab.live.wait()
    row = lab.live.history[-1]
    assert (row["alpha"], row["reward_type"], row["lr_factor"], row["freeze"]) == (
        10.0,
        "gce",
        0.3,
        "encoder",
    )
    assert "holding. Active: α = 10, gce, lr × 0.3, freeze encoder." in settled(lab)
    assert f"L_p {row['prediction']:.3f}, L_r {row['reward']:.3f}" in status(lab)
    assert f"step 2 of {len(lab.live.session.training)}, epoch 1" in status(lab)
    lab.speed = 2
    assert (lab.live.speed, lab._controls["speed"].value) == (2, 2.0)
    lab._controls["speed"].value = math.inf
    assert lab.live.speed == lab.speed == math.inf


def test_the_buttons(make):
    lab = LiveTraining(make())
    button(lab, "one step").click()
    lab.live.wait()
    assert len(lab.live.history) == 1
    button(lab, "keep a snapshot").click()
    button(lab, "train").click()
    until(lambda: len(lab.live.history) > 4)
    lab.picture  # noqa: B018
    button(lab, "pause").click()
    lab.live.wait()
    held = len(lab.live.history)
    time.sleep(0.1)
    assert len(lab.live.history) == held and lab.live.state == "holding"
    lab.picture  # noqa: B018
    assert lab._snapshots.options == ("start", "step 1")
    lab._snapshots.value = "step 1"
    button(lab, "go back").click()
    lab.live.wait()
    assert lab.live.session.training.step == 1
    assert "↶ step 1 before step" in lab.text


def test_going_back_to_the_start_begins_anew(make):
    lab = LiveTraining(make())
    lab.step(3)
    lab.live.wait()
    lab.back_to("start")
    lab.step(3)
    lab.live.wait()
    losses = [row["total"] for row in lab.live.history]
    assert losses[:3] == losses[3:]
    with pytest.raises(RmlibValueError, match="there is no snapshot 'gone'; known: 'start'"):
        lab.back_to("gone")


def test_the_slider_follows_python_where_it_has_the_stop(make):
    live = make()
    lab = LiveTraining(live)
    live.alpha = 30
    lab.picture  # noqa: B018
    assert lab._controls["alpha"].value == 30.0
    live.alpha = 2.5
    assert "α = 2.5" in settled(lab) and lab._controls["alpha"].value == 30.0
    assert live.pending["alpha"] == 2.5  # the slider did not answer
    lab._controls["alpha"].value = 0.0
    assert live.pending["alpha"] == 0.0 == lab.alpha
    with pytest.raises(ValueError, match="alpha is -1"):
        lab.alpha = -1
    assert live.pending["alpha"] == 0.0 == lab._controls["alpha"].value


def test_a_schedule_moves_the_slider_and_is_not_moved_by_it(make):
    live = make()
    lab = LiveTraining(live)
    schedule = lambda step: [0.0, 3.0, 100.0][min(step, 2)]  # noqa: E731
    live.alpha = schedule
    for expected in (0.0, 3.0, 100.0):
        lab.step()
        live.wait()
        lab.picture  # noqa: B018
        assert lab._controls["alpha"].value == expected == live.history[-1]["alpha"]
        assert live.pending["alpha"] is schedule
    lab._controls["alpha"].value = 0.1  # a reader's hand ends it
    lab.step()
    live.wait()
    assert live.history[-1]["alpha"] == 0.1 == live.alpha


def test_many_moves_by_two_hands_end_where_the_training_is(make):
    live = make()
    lab = LiveTraining(live)
    lab.start()
    stops = [0.0, 1.0, 10.0, 100.0]

    def other():
        for number in range(60):
            live.alpha = stops[number % 4]
            time.sleep(0.001)

    thread = threading.Thread(target=other)
    thread.start()
    for number in range(60):
        lab._controls["alpha"].value = stops[-number % 4]
        time.sleep(0.001)
    thread.join()
    hold(lab)
    lab.picture  # noqa: B018
    assert lab._controls["alpha"].value == live.alpha


def test_an_error_on_the_thread_is_shown_and_raised(make):
    def fail():
        raise ValueError("<b>too</b> bad")

    lab = LiveTraining(make(evaluate=fail, every=1))
    page = lab.widget
    lab.step()
    until(lambda: not lab.live._thread.is_alive())
    lab._redraw.wait()
    assert page is lab.widget
    assert "failed" in lab._status.value and '<p role="alert"' in lab._status.value
    assert (
        "ValueError: &lt;b&gt;too&lt;/b&gt; bad" in lab._status.value
        and "<b>too" not in lab._status.value
    )
    for touch in (
        lambda: lab.text,
        lambda: lab.alpha,
        lab.start,
        lambda: setattr(lab, "alpha", 3),
        lab.snapshot,
    ):
        with pytest.raises(ValueError, match="too</b> bad"):
            touch()
    button(lab, "train").click()  # by hand nothing is raised: there is nobody to raise it to
    again = LiveTraining(lab.live)  # and the cell can be run again
    again._begin()
    again._redraw.wait()
    assert '<p role="alert"' in again._status.value


def test_the_error_of_a_move_by_hand_is_shown(make):
    lab = LiveTraining(make())
    lab._controls["freeze"].options = ["none", *lab._controls["freeze"].options]
    lab._controls["freeze"].value = "none"
    assert "freeze is 'none'; expected one of embeddings" in settled(lab)
    assert lab.freeze == "embeddings"


def test_pictures_nobody_asked_for_are_few_and_a_move_is_drawn_at_once(make, monkeypatch):
    lab, drawn = LiveTraining(make(watched=True, every=1000)), []
    draw = lab._picture.draw
    monkeypatch.setattr(
        lab._picture, "draw", lambda *given: drawn.append(time.monotonic()) or draw(*given)
    )
    lab.widget  # noqa: B018
    lab._redraw.wait()
    lab.live.speed = 20
    lab.start()
    time.sleep(2.5)
    steps = len(lab.live.history)
    few = len(drawn)
    assert few <= 6, (
        f"{few} pictures of {steps} steps"
    )  # the first, two by hand, two or three in 2.5 s
    before = time.monotonic()
    lab._controls["alpha"].value = 3.0
    until(lambda: drawn[-1] > before)
    assert drawn[-1] - before < 0.5
    hold(lab)
    lab._redraw.wait()
    assert (
        f"{len(lab.live.history)} steps taken" in lab._drawn.text
    )  # the last step is in it, unasked


def test_an_evaluation_is_drawn_at_once(make, monkeypatch):
    monkeypatch.setattr(widget, "EVERY", 1000.0)
    lab = LiveTraining(make(watched=True, every=2))
    lab.widget  # noqa: B018
    lab.step(4)
    until(lambda: lab._drawn and "4 steps taken" in lab._drawn.text)
    first, second = [row for row in lab.live.history if "f1" in row]
    assert [row["step_index"] for row in (first, second)] == [1, 3]
    assert f"Dev F1 {second['f1']:.3f} after 4 steps" in settled(lab)


def test_the_sentences_are_tagged_again_and_escaped(make):
    lab = LiveTraining(make(watched=True, every=2))
    lab.picture  # noqa: B018
    assert "gold:" in lab._sentences.value and "now:" not in lab._sentences.value
    lab.step(2)
    lab.live.wait()
    lab.picture  # noqa: B018
    assert lab._sentences.value.count("now:") == 3 and "before:" not in lab._sentences.value
    lab.step(2)
    lab.live.wait()
    lab.picture  # noqa: B018
    assert lab._sentences.value.count("now:") == 3 == lab._sentences.value.count("before:")
    assert "<script>" not in lab._sentences.value and "&lt;script&gt;" in lab._sentences.value


def test_what_is_saved_plays_the_run_again(make, tmp_path):
    lab = LiveTraining(make(name="my lab/1"))
    lab.step(2)
    lab.live.wait()
    lab.alpha = math.inf
    lab.step(2)
    lab.live.wait()
    history, moves = lab.save(tmp_path)
    assert (history.name, moves.name) == ("my-lab-1-history.csv", "my-lab-1-moves.json")
    assert f"Saved {history.name} and {moves.name} in {tmp_path}." in settled(lab)
    rows = list(csv.DictReader(history.open()))
    assert [float(row["alpha"]) for row in rows] == [1, 1, math.inf, math.inf]
    training = make(name="again").session.training
    again = replay(training, *read_moves(moves, training.config))
    assert [row["total"] for row in again.history] == [row["total"] for row in lab.live.history]


def test_the_error_of_saving_is_shown(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = LiveTraining(make())
    (tmp_path / "widget-moves.json").mkdir()
    lab.step()
    lab.live.wait()
    button(lab, "save").click()
    assert "widget-moves.json" in settled(lab) and "Saved" not in status(lab)
    (tmp_path / "widget-moves.json").rmdir()
    button(lab, "save").click()
    assert f"Saved widget-history.csv and widget-moves.json in {tmp_path}." in settled(lab)


def test_the_cell_run_again_takes_over(make):
    live = make()
    first = LiveTraining(live)
    first.alpha, first.reward, first.speed = 10, "gce", 5
    first.step(2)
    live.wait()
    before = list(live.moves)
    second = LiveTraining(live)
    assert [second._controls[name].value for name in ("alpha", "reward", "speed")] == [
        10.0,
        "gce",
        5.0,
    ]
    assert live.moves == before  # the controls have followed, and moved nothing
    assert "2 steps taken" in second.text and live.callback.__self__ is second
    second.step()
    live.wait()
    assert "3 steps taken" in second.text and second._snapshots.options == ("start",)


def test_a_run_that_is_done_says_so_and_can_go_back(make):
    lab = LiveTraining(make(epochs=1))
    lab.start()
    lab.live.wait()
    assert settled(lab).startswith("finished.") and button(lab, "train")
    lab.back_to()
    lab.step()
    lab.live.wait()
    assert settled(lab).startswith("holding.")
    lab.live.close()
    assert settled(lab).startswith("closed.")


def test_no_thread_is_left(make):
    lab = LiveTraining(make())
    lab.widget  # noqa: B018
    lab.start()
    until(lambda: len(lab.live.history) > 3)
    lab.live.close()
    lab._redraw.wait()
    until(
        lambda: not [t for t in threading.enumerate() if t.name in ("rmlib widget", "rmlib redraw")]
    )


def test_losses_that_are_not_numbers_are_drawn_and_described():
    row = {
        "alpha": math.inf,
        "reward_type": "gce",
        "prediction": math.nan,
        "reward": math.inf,
        "total": math.nan,
    }
    rows = [row | {"step_index": 0}, row | {"step_index": 1, "prediction": 2.0}]
    drawn = figure.LivePicture().draw(rows, [], {"alpha": 0.0, "reward": "gce"})
    assert drawn.axes[0].get_ylim()[1] == pytest.approx(2.16)
    assert "L_p from nan to 2." in figure.alt_text(rows, [], {"alpha": 0.0, "reward": "gce"})


def test_curves_are_thinned_and_bands_say_how_long():
    x, y = figure.thin(np.arange(1000), 400)
    assert len(x) == len(y) == 334 and x[0] == 1.5 and y[0] == 1 and y[-1] == 999 and x[-1] == 999.5
    assert [len(part) for part in figure.thin([])] == [0, 0]
    assert figure.runs_of_equal_values([1, 1, 0, 1]) == [(0, 2, 1), (2, 3, 0), (3, 4, 1)]
    light = [sum(figure.alpha_colour(a)) for a in (0, 0.01, 0.1, 1, 10, 100, math.inf)]
    assert light == sorted(light, reverse=True) and (light[0], light[-1]) == (3, 0)
    looks = [tuple(figure.reward_look(name).values()) for name in REWARDS]
    assert len(set(looks)) == len(looks)


def test_cause_stands_over_effect():
    alphas = [1.0] * 10 + [10.0] * 10
    rows = [
        {"step_index": t, "alpha": a, "reward_type": "gce", "prediction": 1.0, "reward": 0.5}
        | ({"f1": 0.5} if t == 9 else {})
        for t, a in enumerate(alphas)
    ]
    moves = [
        {"step_index": 10, "control": "alpha", "value": 10.0},
        {"step_index": 5, "control": "lr_factor", "value": 0.3},
    ]
    picture = figure.LivePicture()
    losses, scores, alpha, reward = picture.draw(rows, moves, {"alpha": 10.0, "reward": "gce"}).axes
    assert len({axes.get_xlim() for axes in (losses, scores, alpha, reward)}) == 1
    (band,) = alpha.collections
    assert [path.get_extents().x0 for path in band.get_paths()] == [0, 10]
    assert [text.get_text() for text in alpha.texts] == ["α of the next step: 10", "1", "10"]
    assert [text.get_text() for text in losses.texts] == ["lr × 0.3"]
    assert list(picture._marks[losses].get_xdata()) == [5, 5, 5, 10, 10, 10]
    assert list(picture._curves["f1"].get_xdata()) == [10]


def test_the_smooth_curve_starts_anew_after_a_way_back():
    rows = [
        {"step_index": t, "alpha": 1.0, "reward_type": "gce", "prediction": 1.0, "reward": 0.5}
        for t in range(100)
    ]
    for row in rows[50:]:
        row["prediction"] = 2.0
    picture, pending = figure.LivePicture(), {"alpha": 1.0, "reward": "gce"}
    picture.draw(rows, [{"step_index": 50, "control": "back_to", "value": "start"}], pending)
    assert list(picture._curves["prediction"].get_ydata()) == [1.0] * 50 + [2.0] * 50
    picture.draw(rows, [], pending)
    curve = picture._curves["prediction"].get_ydata()
    assert list(curve[:50]) == [1.0] * 50 and 1 < curve[50] < curve[60] < 2  # and looks back only
