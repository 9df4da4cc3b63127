"""What every explorer does: its properties are its controls, and its picture follows them."""

import html
import math
import re
import threading
import time
from functools import cache

import ipywidgets
import pytest

from rmlib.errors import RmlibValueError
from rmlib.studies.sentiment_data import make_split
from rmlib.text.downloads import AssetError
from rmlib.widgets import (
    EstimatorExplorer,
    GradientExplorer,
    InstantHead,
    LandscapeExplorer,
    LossExplorer,
    NoiseExplorer,
    StudyBrowser,
)
from tests.widgets.made_up import made_up_features, made_up_study


@cache
def head_data():
    return made_up_features(60, 1), made_up_features(20, 2)


def instant_head(**values):
    return InstantHead(head_data(), **values)


def noise_explorer(**values):
    try:
        make_split("clean", 0)
    except AssetError as error:
        pytest.skip(f"the tweets are not available: {error}")
    return NoiseExplorer(**values)


def study_browser(**values):
    return StudyBrowser(made_up_study(), measures=("f1", "missing"), **values)


# How each explorer is made, and for every control a value that it does not begin with.
EXPLORERS = {
    LossExplorer: {"alpha": 3.0, "reward": "gce", "label": 0, "version": "printed"},
    GradientExplorer: {
        "alpha": 3.0,
        "reward": "dice",
        "item": 4,
        "precision": "float32",
        "epsilon": 1e-2,
    },
    EstimatorExplorer: {
        "samples": 4,
        "baseline": "group",
        "reward": "f1",
        "model": "confident",
        "seed": 3,
    },
    LandscapeExplorer: {
        "alpha": 10.0,
        "reward": "dice",
        "condition": "noisy labels",
        "start": "too confident",
    },
    instant_head: {"alpha": 10.0, "reward": "gce"},
    noise_explorer: {"flip": 0.1, "share": 0.1, "reward": "soft_f1", "alpha": 1.0},
    study_browser: {"measure": "missing", "shows": "difference"},
}
every_explorer = pytest.mark.parametrize(
    "make", EXPLORERS, ids=[make.__name__ for make in EXPLORERS]
)


def controls(explorer) -> dict[str, ipywidgets.Widget]:
    """The controls by name, in the order in which they stand above the picture."""
    found = [
        child
        for child in explorer.widget.children
        if isinstance(
            child, ipywidgets.SelectionSlider | ipywidgets.Dropdown | ipywidgets.RadioButtons
        )
    ]
    return dict(zip(vars(explorer.state), found, strict=False))


def options(control) -> list:
    return [option[1] if isinstance(option, tuple) else option for option in control.options]


@every_explorer
def test_properties_and_controls_are_the_same_thing(make):
    explorer = make()
    for name, value in EXPLORERS[make].items():
        first = getattr(explorer, name)
        assert first != value and first == controls(explorer)[name].value
        setattr(explorer, name, value)
        assert controls(explorer)[name].value == value
        controls(explorer)[name].value = first
        assert getattr(explorer, name) == first


@every_explorer
def test_the_arguments_are_the_values_of_the_controls(make):
    explorer = make(**EXPLORERS[make])
    assert vars(explorer.state).items() >= EXPLORERS[make].items()


def pages(explorer) -> list[str]:
    """The HTML under the controls, once the picture is drawn."""
    assert explorer.picture
    return [
        child.value
        for child in explorer.widget.children
        if isinstance(child, ipywidgets.HTML | ipywidgets.HTMLMath)
    ]


@every_explorer
def test_every_control_changes_what_is_shown(make):
    explorer = make()
    before = pages(explorer)
    for name, value in EXPLORERS[make].items():
        setattr(explorer, name, value)
        assert pages(explorer) != before, name
        before = pages(explorer)


@every_explorer
def test_the_picture_has_an_alt_text_that_a_screen_reader_tells(make):
    explorer = make()
    assert repr(explorer.picture) == explorer.text and len(explorer.text) > 100
    assert f'<img alt="{html.escape(explorer.text)}"' in explorer.picture.html
    (shown,) = [page for page in pages(explorer) if explorer.picture.html in page]
    spoken = re.search(r'<p role="status" aria-live="polite"[^>]*>(.*)</p>', shown)[1]
    assert html.unescape(spoken) == explorer.text


@every_explorer
def test_many_moves_return_at_once_and_end_on_the_last_one(make):
    explorer = make()
    assert explorer.picture
    name = next(iter(EXPLORERS[make]))
    control = controls(explorer)[name]
    stops = options(control)
    start = time.perf_counter()
    for _ in range(200 // len(stops)):
        for stop in stops:
            control.value = stop
    last = EXPLORERS[make][name]
    setattr(explorer, name, last)
    assert time.perf_counter() - start < 5  # 200 drawings would take far longer
    assert explorer.text == make(**{name: last}).text or make is instant_head  # it tells its time
    assert getattr(explorer, name) == last
    for thread in threading.enumerate():
        if thread.name == "rmlib redraw":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        (LossExplorer, "alpha", 2, "did you mean 1?"),
        (LossExplorer, "reward", "soft_f2", "did you mean 'soft_f1'"),
        (LossExplorer, "label", 2, "label is 2; expected 0 or 1"),
        (LossExplorer, "version", "mended", "version 'mended' is not in the menu"),
        (GradientExplorer, "alpha", 2, "did you mean 1?"),
        (GradientExplorer, "reward", "accuracy", "did you mean 'expected_accuracy'"),
        (
            GradientExplorer,
            "item",
            7,
            "item is 7; the slider has 1, 2, 3, 4, 5, 6; did you mean 6?",
        ),
        (GradientExplorer, "y_hat", 1.0, "did you mean 0.99?"),
        (GradientExplorer, "label", 2, "label is 2; expected 0 or 1"),
        (GradientExplorer, "precision", "float16", "precision 'float16' is not in the menu"),
        (GradientExplorer, "epsilon", 0.0, "did you mean 1e-10?"),
        (EstimatorExplorer, "samples", 5, "did you mean 4?"),
        (EstimatorExplorer, "samples", math.nan, "samples is nan"),
        (EstimatorExplorer, "baseline", "leave-one-out", "did you mean 'leave_one_out'?"),
        (EstimatorExplorer, "reward", "entity_f2", "did you mean 'entity_f1'?"),
        (EstimatorExplorer, "model", "certain", "model 'certain' is not in the menu"),
        (EstimatorExplorer, "seed", 10, "did you mean 9?"),
        (LandscapeExplorer, "alpha", 2, "did you mean 1?"),
        (LandscapeExplorer, "reward", "soft_f2", "did you mean 'soft_f1'"),
        (LandscapeExplorer, "reward", "entity_f1", "reward 'entity_f1' is not in the menu"),
        (LandscapeExplorer, "condition", "noisy", "did you mean 'noisy labels'"),
        (LandscapeExplorer, "start", "zeros", "did you mean 'zero'"),
        (instant_head, "alpha", 2, "did you mean 1?"),
        (instant_head, "reward", "soft_f2", "did you mean 'soft_f1'"),
        (noise_explorer, "flip", 0.35, "flip is 0.35"),
        (study_browser, "measure", "f2", "did you mean 'f1'"),
        (study_browser, "shows", "median", "shows 'median' is not in the menu"),
    ],
)
def test_a_value_that_the_control_does_not_have_is_refused(make, name, value, message):
    explorer = make()
    before = explorer.state
    with pytest.raises(RmlibValueError, match=re.escape(message)):
        setattr(explorer, name, value)
    assert explorer.state == before
