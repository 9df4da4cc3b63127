"""Why a baseline: a cloud of sampled gradients around the exact one, with bias and variance in numbers."""

from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from ..dice import seeded
from ..plots import COLOURS, new_figure
from ..sampling import BASELINES, METRICS, enumerated, estimated
from .base import Explorer, buttons, control, menu, slider

SENTENCES = (("Amina", "Diallo", "left"), ("Rose", "in", "Ghent"))
TAGS = ("O", "B-PER", "I-PER")
LABELS = ((1, 2, 0), (1, 0, 0))
# What the model makes of it: logits (sentences, words, tags), times the sharpness below. Rose is taken for an O.
LOGITS = (((0.0, 1.0, 0.2), (0.3, 0.0, 1.0), (1.0, 0.0, 0.0)), ((0.6, 0.2, 0.0), (0.8, 0.2, -0.3), (1.0, 0.3, 0.0)))
MODELS = {"wrong": -1.5, "unsure": 0.5, "fair": 1.5, "sure": 4.0}
SAMPLES = (1, 2, 3, 4, 8, 16, 32, 64)
ALONE = ("none", "greedy", "minimum_risk")  # the baselines that one sample is enough for
ESTIMATES, CHUNK = 300, 50  # in chunks the tables of K = 64 stay in the processor's cache
SEEDS = range(10)
LIMITS = (1.5, 2.5, 4, 6, 10, 16, 25, 40, 64, 100)  # of the axes, so that a small move of the cloud leaves them alone
BOX = (0.095, 0.13, 0.485, 0.71)  # of the picture of the cloud in a figure of 8.8 × 4.2 inches
TALL = BOX[3] * 4.2 / (BOX[2] * 8.8)  # the same unit both ways


class Truth(NamedTuple):
    """What is exact: the gradient (values,), the two directions (2, values) that are drawn, and what one sample
    without a baseline scatters: its covariance (values, values)."""

    gradient: np.ndarray
    directions: np.ndarray
    covariance: np.ndarray


class Cloud(NamedTuple):
    """What is measured. Lengths in units of the exact gradient's length, squares in units of its square.

    estimates: (estimates, 2) along the exact gradient and at right angles to it. share: the mean's length along the
    exact gradient. error: the standard error of the share. bias: the squared distance of the mean from the exact
    gradient, less what chance adds to it. variance: the mean squared distance of an estimate from the mean. `none`:
    the variance without a baseline at the same K, exact.
    """

    estimates: np.ndarray
    mean: np.ndarray
    share: float
    error: float
    bias: float
    variance: float
    none: float


def logits_of(model: str) -> torch.Tensor:
    """(sentences, words, tags) for a name in `MODELS`."""
    return MODELS[model] * torch.tensor(LOGITS, dtype=torch.float64)


@lru_cache
def truth(reward: str, model: str) -> Truth:
    """By enumeration of all 729 taggings. The second direction is the one at right angles to the exact gradient in
    which estimates without a baseline scatter most."""
    labels, z = torch.tensor(LABELS), logits_of(model).requires_grad_()
    enumerated(z, labels, reward).backward()
    gradient = z.grad.flatten().numpy()
    every = torch.cartesian_prod(*[torch.arange(len(TAGS))] * labels.numel()).reshape(-1, *labels.shape)
    tally, score = METRICS[reward]
    p = z.detach().softmax(-1)
    each = p.expand(len(every), *p.shape).gather(-1, every[..., None]).flatten(1).prod(-1).numpy()
    scores = (torch.nn.functional.one_hot(every, len(TAGS)) - p).flatten(1).numpy()  # d log pi / dz
    one = scores * score(tally(every, labels, 0).double().sum(1)).numpy()[:, None]
    covariance = (one * each[:, None]).T @ one - np.outer(gradient, gradient)
    along = gradient / np.linalg.norm(gradient)
    across = np.eye(len(along)) - np.outer(along, along)
    widest = np.linalg.eigh(across @ covariance @ across)[1][:, -1]
    widest *= np.sign(widest[np.abs(widest).argmax()])  # an eigenvector's sign is arbitrary
    return Truth(gradient, np.stack([along, widest]), covariance)


@lru_cache(maxsize=64)
def gradients(samples: int, baseline: str, reward: str, model: str, seed: int) -> np.ndarray:
    """300 estimates of the gradient, (300, values), by `sampling.estimated`."""
    labels, z = torch.tensor(LABELS), logits_of(model).float()
    one = torch.func.grad(lambda z: estimated(z, labels, 0, reward, samples, baseline))
    many = torch.func.vmap(one, randomness="different", chunk_size=CHUNK)
    with seeded(seed):
        return many(z.expand(ESTIMATES, *z.shape)).flatten(1).double().numpy()


def cloud(state) -> Cloud:
    """The numbers of a state."""
    gradient, directions, covariance = truth(state.reward, state.model)
    length = np.linalg.norm(gradient)
    found = gradients(state.samples, state.baseline, state.reward, state.model, state.seed) / length
    estimates, mean = found @ directions.T, found.mean(0)
    variance = found.var(0, ddof=1).sum()
    bias = np.sum((mean - gradient / length) ** 2) - variance / len(found)
    return Cloud(
        estimates,
        mean * length,
        float(estimates[:, 0].mean()),
        float(estimates[:, 0].std(ddof=1) / len(found) ** 0.5),
        float(max(bias, 0.0)),
        float(variance),
        float(np.trace(covariance) / state.samples / length**2),
    )


class EstimatorExplorer(Explorer):
    """The estimator explorer: sampled gradients of E[R] for a tiny tagger, around the exact gradient.

    Two sentences of three words, three tags, so that all 729 taggings can be enumerated. Each point is the gradient
    that one training step would take, from K sampled taggings.

    Args:
        samples: K, one of `SAMPLES`; 1 only with a baseline that does not compare the samples with each other.
        baseline: one of `sampling.BASELINES`, or "minimum_risk".
        reward: "accuracy", "f1" or "entity_f1".
        model: "wrong", "unsure", "fair" or "sure": what the tagger believes.
        seed: 0 to 9; another seed is another cloud of the same kind.

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    samples = control("samples", "K, the sampled taggings of one estimate; setting it moves the slider.")
    baseline = control("baseline", "What is subtracted from a sample's reward; setting it moves the menu.")
    reward = control("reward", "The metric whose gradient is estimated; setting it moves the menu.")
    model = control("model", "What the tagger believes; setting it presses the button.")
    seed = control("seed", "Where the random numbers start; setting it moves the slider.")

    def __init__(
        self,
        samples: int = 8,
        baseline: str = "leave_one_out",
        reward: str = "entity_f1",
        model: str = "fair",
        seed: int = 0,
    ):
        super().__init__(
            samples=slider("samples K", SAMPLES[1:]),
            baseline=menu("baseline", (*BASELINES, "minimum_risk")),
            reward=menu("reward", tuple(METRICS)),
            model=buttons("model is", tuple(MODELS)),
            seed=slider("seed", tuple(SEEDS)),
        )
        self._art: SimpleNamespace | None = None
        self._controls["baseline"].observe(self._offer, "value")
        self._offer()
        self.baseline, self.reward, self.model, self.seed = baseline, reward, model, seed
        self.samples = samples

    def _offer(self, change=None) -> None:
        """K = 1 is on the slider where the baseline allows it."""
        widget = self._controls["samples"]
        stops = SAMPLES if self.baseline in ALONE else SAMPLES[1:]
        if tuple(widget.options) != stops:
            kept = max(widget.value, stops[0])
            widget.options = stops  # goes to the first of them
            widget.value = kept

    @property
    def state(self):
        """Where the controls stand, by name."""
        state = super().state
        if state.baseline not in ALONE:  # between two controls that move together, for a moment
            state.samples = max(state.samples, 2)
        return state

    @property
    def exact(self) -> np.ndarray:
        """The exact gradient of E[R] with respect to the logits, (sentences, words, tags)."""
        return truth(self.reward, self.model).gradient.reshape(np.shape(LOGITS)).copy()

    @property
    def mean(self) -> np.ndarray:
        """The mean of the estimates, (sentences, words, tags)."""
        return cloud(self.state).mean.reshape(np.shape(LOGITS))

    @property
    def share(self) -> float:
        """How far the mean reaches along the exact gradient; 1 is all the way."""
        return cloud(self.state).share

    @property
    def error(self) -> float:
        """The standard error of `share`."""
        return cloud(self.state).error

    @property
    def bias(self) -> float:
        """The squared bias, as a share of the exact gradient's square; 0 where it is lost in the noise."""
        return cloud(self.state).bias

    @property
    def variance(self) -> float:
        """The variance of an estimate, as a share of the exact gradient's square."""
        return cloud(self.state).variance

    @property
    def variance_of_none(self) -> float:
        """The same without a baseline at the same K, exactly, by enumeration."""
        return cloud(self.state).none

    def draw(self, state) -> tuple[Figure, str]:
        found, length = cloud(state), np.linalg.norm(truth(state.reward, state.model).gradient)
        art = self._art = self._art or blank()
        title = f"K = {state.samples}, baseline {state.baseline}, reward {state.reward}, the model is {state.model}"
        art.title.set_text(title)
        art.reached.set_text(f"the mean reaches {found.share:.3f} ± {found.error:.3f} of the exact gradient")
        _draw_cloud(art, state, found)
        _draw_bars(art, state, found)
        shrink = (state.samples - 1) / state.samples
        words = [
            f"Sampled gradients, {title}, seed {state.seed}: {ESTIMATES} estimates, in units of the exact gradient's "
            f"length {length:.3g}.",
            f"Along the exact gradient their mean is {found.share:.3f} ± {found.error:.3f} (standard error); "
            "1 is the exact one.",
            *([f"Expected with this baseline: (K−1)/K = {shrink:.3f}."] if state.baseline == "mean" else []),
            f"Squared bias {found.bias:.3g}, variance {found.variance:.3g}, mean squared error "
            f"{found.bias + found.variance:.3g}.",
            f"With none at the same K, exactly: squared bias 0, variance {found.none:.3g}.",
        ]
        return art.figure, " ".join(words)


def blank() -> SimpleNamespace:
    """The figure with all that stays, and by name the artists that move: a new figure takes three times as long."""
    figure = new_figure(8.8, 4.2, columns=2, margins={})
    left, right = figure.axes
    left.set_position(BOX)
    right.set_position((0.715, 0.46, 0.27, 0.38))
    whole, red = {"transform": figure.transFigure, "animated": True}, {"color": COLOURS["vermilion"], "zorder": 5}
    art = SimpleNamespace(figure=figure, cloud=left, bars=right)
    art.title, art.reached = left.text(BOX[0], 0.935, "", fontsize=11, **whole), left.text(BOX[0], 0.875, "", **whole)
    left.plot([], [], ".", color=COLOURS["sky"], markersize=4, label=f"{ESTIMATES} estimates")
    left.plot([], [], "--", color="black", linewidth=1, label="2 standard deviations of none")
    left.plot([], [], "-", linewidth=1.5, **red)
    left.plot([], [], "-", linewidth=1.5, **red)
    left.plot([], [], "o", markersize=5, label="mean ± 2 standard errors", **red)
    left.plot([], [], ":", color=COLOURS["green"], linewidth=2, label="(K−1)/K, for baseline mean")
    left.plot([], [], "-", color="black", linewidth=2.5, label="exact gradient")
    arrow = {"arrowstyle": "-|>", "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
    left.annotate("", (1, 0), (0, 0), arrowprops=arrow, animated=True)
    left.set(xlabel="along the exact gradient (its length = 1)", ylabel="at right angles to it")
    figure.legend(loc="lower left", bbox_to_anchor=(0.7, 0.02), fontsize=9, frameon=False, labelspacing=0.35)
    for y in (1, 0):
        right.barh(y, 1, color=COLOURS["orange"], hatch="//", edgecolor="black", height=0.5)
        right.barh(y, 1, color=COLOURS["sky"], edgecolor="black", height=0.5)
    art.numbers = [right.text(0, y + 0.3, "", fontsize=9, va="bottom", animated=True) for y in (1, 0)]
    side = {"transform": right.get_yaxis_transform(), "ha": "right", "va": "center"}
    right.text(-0.03, 1, "none, exact", **side)
    art.baseline = right.text(-0.03, 0, "", animated=True, **side)
    right.set(ylim=(-0.4, 1.75), yticks=[], xlabel="mean squared error")
    right.locator_params("x", nbins=5)
    right.set_title("bias² (hatched) + variance", fontsize=10, loc="left")
    left.yaxis.set_label_coords(-0.15, 0.5)  # to find the place, every tick would be measured at every drawing
    for axes in (left, right):
        axes.xaxis.set_label_coords(0.5, -0.11 if axes is left else -0.17)
    for artist in (*left.lines, *right.patches, left.xaxis, left.yaxis, right.xaxis):
        artist.set_animated(True)
    return art


def _draw_cloud(art: SimpleNamespace, state, found: Cloud) -> None:
    gradient, directions, covariance = truth(state.reward, state.model)
    seen = np.quantile(np.abs(found.estimates) / (1, TALL), 0.99)
    limit = next((stop for stop in LIMITS if stop >= seen), LIMITS[-1])
    art.cloud.set(xlim=(-limit, limit), ylim=(-limit * TALL, limit * TALL))
    flat = directions @ covariance @ directions.T / state.samples / (gradient @ gradient)
    angle = np.linspace(0, 2 * np.pi, 73)
    ring = np.array([[1.0], [0.0]]) + 2 * np.linalg.cholesky(flat) @ np.stack([np.cos(angle), np.sin(angle)])
    (x, y), count = found.estimates.mean(0), len(found.estimates)
    wide, high = 2 * found.estimates.std(0, ddof=1) / count**0.5
    shrink = (state.samples - 1) / state.samples if state.baseline == "mean" else np.nan
    shown = found.estimates.T, ring, ((x - wide, x + wide), (y, y)), ((x, x), (y - high, y + high)), ((x,), (y,))
    for line, data in zip(art.cloud.lines, (*shown, ((shrink, shrink), (-limit, limit))), strict=False):
        line.set_data(*data)


def _draw_bars(art: SimpleNamespace, state, found: Cloud) -> None:
    rows = ((0.0, found.none), (found.bias, found.variance))
    for (bias, variance), text, bars in zip(rows, art.numbers, np.reshape(art.bars.patches, (2, 2)), strict=True):
        bars[0].set_width(bias)
        bars[1].set(x=bias, width=variance)
        text.set_text(f"{bias:.3g} + {variance:.3g}")
    art.bars.set_xlim(0, 1.03 * max(map(sum, rows)))
    art.baseline.set_text(state.baseline)
