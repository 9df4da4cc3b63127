"""Figures: they have an alt text, show the numbers that went in, and can be read in grey."""

import base64
import io
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from matplotlib.artist import Artist
from PIL import Image

from rmlib.errors import RmlibValueError
from rmlib.plots import figures


def history(points=12, every=4):
    """Rows as a run writes them: L_p falls as 1/step, L_r as 2/step, dev F1 rises; not evaluated at
    every step.
    """
    return [
        {
            "step": step,
            "total": 3 / step,
            "prediction": 1 / step,
            "reward": 2 / step,
            "dev_f1": step / 100 if step % every == 0 else "",
        }
        for step in range(1, points + 1)
    ]


def pixels(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_a_picture_carries_its_alt_text_on_the_image_and_as_plain_text():
    figure = figures.new_figure()
    figure.axes[0].plot([0, 1], [0, 1])
    alt = 'A line, "up" & <steep>'
    data, metadata = figures.show(figure, alt)._repr_mimebundle_()
    assert data["text/plain"] == alt
    assert metadata["image/png"]["alt"] == alt
    assert 'alt="A line, &quot;up&quot; &amp; &lt;steep&gt;"' in data["text/html"]
    inside = re.search(r"base64,([^\"]+)", data["text/html"])[1]
    assert base64.b64decode(inside) == base64.b64decode(data["image/png"])
    assert base64.b64decode(inside).startswith(b"\x89PNG")


def test_a_picture_without_an_alt_text_is_refused():
    with pytest.raises(RmlibValueError, match="alt is empty"):
        figures.show(figures.new_figure(), "  ")


def test_the_background_is_white_and_opaque_so_that_the_text_can_be_read_in_a_dark_theme():
    picture = figures.show(figures.new_figure(), "empty axes")
    image = Image.open(io.BytesIO(picture.png))
    assert "transparency" not in image.info
    assert image.mode in ("RGB", "P")
    assert (pixels(picture)[0, 0] >= 254).all()


def test_no_figure_is_made_through_pyplot():
    code = "import sys; from rmlib.plots import figures; figures.show(figures.new_figure(), 'a');"
    code += "print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_text_is_legible_at_full_size():
    drawn = [
        figures.learning_curves({"a": history(), "b": history()}),
        figures.confusion(pd.DataFrame([[3, 1], [0, 2]], ["x", "y"], ["x", "y"])),
        figures.loss_curves(
            np.linspace(0.1, 0.9, 9),
            {"L": np.ones(9)},
            {"L": np.ones(9)},
            "title",
            "note",
            "warning",
        ),
    ]
    from matplotlib.text import Text

    for figure in drawn:
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= 9


def test_lines_differ_in_style_as_well_as_in_colour():
    dashes, colours = ({str(line[key]) for line in figures.LINES} for key in ("linestyle", "color"))
    assert len(dashes) == len(colours) == len(figures.LINES) >= 6
    for colour in (
        figures.COLOURS.values()
    ):  # WCAG asks for 3:1; the palest of the palette are for fat lines only
        assert 1.05 / (luminance(colour) + 0.05) >= 2, colour


def test_learning_curves_show_every_row_and_leave_out_what_was_not_evaluated():
    figure = figures.learning_curves({"α = 0": history(), "α = 1": history(8)})
    prediction, reward, f1 = figure.axes
    raw = [line for line in prediction.lines if line.get_alpha()]
    assert raw[0].get_xdata() == pytest.approx(np.arange(1, 13))
    assert raw[0].get_ydata() == pytest.approx(1 / np.arange(1, 13))
    assert [line for line in reward.lines if line.get_alpha()][1].get_ydata() == pytest.approx(
        2 / np.arange(1, 9)
    )
    assert list(f1.lines[0].get_xdata()) == [4, 8, 12]
    assert f1.lines[0].get_ydata() == pytest.approx([0.04, 0.08, 0.12])
    assert [text.get_text() for text in f1.get_legend().get_texts()] == ["α = 0", "α = 1"]
    alt = figures.show(figure).text
    losses = "α = 0: L_p from 1.00 to 0.08, L_r from 2.00 to 0.17"
    assert f"{losses}, dev F1 0.040 first, 0.120 best, in 12 steps" in alt


def test_learning_curves_read_back_from_a_csv_file_and_without_any_score_are_drawn_too():
    rows = [
        {key: str(value) if key == "dev_f1" else value for key, value in row.items()}
        for row in history()
    ]
    assert list(figures.learning_curves({"a": rows}).axes[2].lines[0].get_ydata()) == pytest.approx(
        [0.04, 0.08, 0.12]
    )
    assert "dev F1" not in figures.show(figures.learning_curves({"a": history(every=99)})).text


def test_the_smoothed_line_is_between_the_extremes_and_less_rough():
    rows = history(60)
    noise = np.random.default_rng(0).normal(size=60)
    for row, extra in zip(rows, noise, strict=True):
        row["prediction"] = 5 + extra
    lines = figures.learning_curves({"a": rows}).axes[0].lines
    raw, smooth = (line.get_ydata() for line in lines)
    assert np.abs(np.diff(smooth)).mean() < np.abs(np.diff(raw)).mean() / 2
    assert smooth.mean() == pytest.approx(raw.mean(), abs=0.2)


@pytest.mark.parametrize(
    ("runs", "say"), [({}, "no run"), ({"a": history(), "b": []}, "run 'b' has no rows")]
)
def test_learning_curves_of_nothing_are_refused(runs, say):
    with pytest.raises(RmlibValueError, match=say):
        figures.learning_curves(runs)


def test_confusion_writes_every_count_and_colours_by_share_of_the_row():
    table = pd.DataFrame([[90, 10, 0], [1, 3, 0], [0, 0, 0]], list("abc"), list("abc"))
    axes = figures.confusion(table).axes[0]
    written = " ".join(text.get_text() for text in axes.texts)
    assert written == "90 10 0 1 3 0 0 0 0"
    shares = axes.images[0].get_array()
    assert np.asarray(shares) == pytest.approx(
        np.array([[0.9, 0.1, 0], [0.25, 0.75, 0], [0, 0, 0]])
    )
    assert axes.get_ylabel() == "gold" and axes.get_xlabel() == "predicted"
    assert (
        "gold a: predicted 90 a, 10 b; gold b: predicted 3 b, 1 a; gold c: predicted nothing"
        in axes.figure.get_label()
    )


def test_confusion_reads_the_same_in_grey():
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    cmap = colormaps[
        figures.confusion(pd.DataFrame([[1, 0], [0, 1]])).axes[0].images[0].get_cmap().name
    ]
    ladder = [luminance(to_hex(cmap(share))) for share in np.linspace(0, 1, 11)]
    assert all(light > dark for light, dark in zip(ladder, ladder[1:], strict=False))
    for text in figures.confusion(pd.DataFrame(np.arange(1, 101).reshape(10, 10))).axes[0].texts:
        column, row = text.get_position()
        share = (10 * row + column + 1) / sum(10 * row + c + 1 for c in range(10))
        ground, ink = luminance(to_hex(cmap(share))), 1.0 if text.get_color() == "white" else 0.0
        light, dark = max(ground, ink), min(ground, ink)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_confusion_of_an_empty_table_is_refused():
    with pytest.raises(RmlibValueError, match=r"shape \(0, 0\)"):
        figures.confusion(pd.DataFrame())


def bowl(bottom=0.3):
    """ŷ, the values and the derivatives of a loss that is lowest in the middle, with two parts."""
    y_hat = np.linspace(0.1, 0.9, 9)
    total = (y_hat - bottom) ** 2 + 1
    slope = 2 * (y_hat - bottom)
    values = {"L": total, "L_p": total / 2, "α·L_r": total / 3}
    derivatives = {"L": slope, "L_p": slope / 2, "α·L_r": slope / 3}
    return y_hat, values, derivatives


def named(axes) -> dict:
    return {line.get_label(): line for line in axes.lines}


def test_loss_curves_show_values_and_derivatives_and_mark_the_lowest_point_of_the_total():
    y_hat, values, derivatives = bowl()
    figure = figures.loss_curves(y_hat, values, derivatives, "title", "note", "L_r is 0")
    assert [text.get_text() for text in figure.texts] == ["note", "$L_r$ is 0"]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "title",
        "○ lowest L: 1 at ŷ = 0.3",
    ]
    for axes, curves, height in zip(figure.axes, (values, derivatives), (1.0, 0.0), strict=True):
        for name, shown in zip(values, ("L", "$L_p$", "α·$L_r$"), strict=True):
            assert named(axes)[shown].get_xdata() == pytest.approx(y_hat)
            assert named(axes)[shown].get_ydata() == pytest.approx(curves[name])
        (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == pytest.approx((0.3, height))
        bottom, top = axes.get_ylim()
        assert (
            bottom < 0 < top
            and bottom < min(map(np.min, curves.values()))
            and top > max(map(np.max, curves.values()))
        )
        lines = [named(axes)[shown] for shown in ("L", "$L_p$", "α·$L_r$")]
        assert (
            len({str(line.get_linestyle()) for line in lines})
            == len({line.get_color() for line in lines})
            == 3
        )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["L", "$L_p$", "α·$L_r$"]


def test_loss_curves_drawn_over_others_leave_nothing_of_them():
    fresh = figures.show(figures.loss_curves(*bowl(0.7), "title", "note"), "a")
    figure = figures.loss_curves(*bowl(), "another title", "note")
    assert figures.show(figure, "a").png != fresh.png
    assert figures.loss_curves(*bowl(0.7), "title", "note", figure=figure) is figure
    assert figures.show(figure, "a").png == fresh.png
    file = io.BytesIO()
    figure.savefig(file, dpi=144)  # what a reader would do with it
    apart = np.abs(np.asarray(Image.open(file).convert("RGB")).astype(int) - pixels(fresh)).max(-1)
    assert (apart > 16).mean() < 0.001


def test_in_a_figure_that_moves_only_what_is_animated_is_drawn_again():
    figure = figures.new_figure(3, 2, margins={})
    still, moving = Counter(), Counter(animated=True)
    for one in (still, moving):
        figure.axes[0].add_artist(one)
    for _ in range(3):
        figures.show(figure, "a figure")
    assert (still.times, moving.times) == (1, 3)


def test_the_file_is_sharp_and_small_and_reserves_its_space_on_the_page():
    figure = figures.new_figure(5, 2.5)
    figure.axes[0].plot([0, 1], [0, 1], **figures.LINES[0])
    picture = figures.show(figure, "a line")
    image = Image.open(io.BytesIO(picture.png))
    assert image.size == (5 * 144, 2.5 * 144) and image.mode == "P" and len(picture.png) < 20_000
    assert 'width="480" height="240"' in picture.html and "height:auto" in picture.html
    blue = np.array([0x00, 0x72, 0xB2])
    assert (np.abs(pixels(picture) - blue).max(-1) <= 8).sum() > 500  # the colour came through


def test_given_margins_are_kept_and_nothing_is_laid_out():
    margins = {"left": 0.2, "right": 0.9, "bottom": 0.3, "top": 0.8}
    figure = figures.new_figure(4, 2, margins=margins)
    assert figures.show(figure, "empty axes").png
    assert figure.get_layout_engine() is None
    assert figure.axes[0].get_position().extents == pytest.approx((0.2, 0.3, 0.9, 0.8))


class Counter(Artist):
    """Counts how often it is drawn, and notices when two are drawn at once."""

    inside, met = 0, False

    def __init__(self, **properties):
        super().__init__()
        self.times = 0
        self.set(**properties)

    def draw(self, renderer):
        self.times += 1
        Counter.inside += 1
        time.sleep(0.05)
        Counter.met |= Counter.inside > 1
        Counter.inside -= 1


def test_many_threads_may_call_show_and_one_draws_at_a_time():
    def draw(i):
        figure = figures.new_figure(3, 2, margins={})
        figure.axes[0].set_title(rf"$\frac{{{i}}}{{\alpha}} L_p$")
        figure.axes[0].add_artist(Counter(animated=True))
        return figures.show(figure, "a formula").png

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(draw, range(12)))
    assert together == [draw(i) for i in range(12)]
    assert not Counter.met
