"""The estimator explorer: why a baseline, with the bias and the variance of sampled gradients."""

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.loss.sampled_metrics import METRICS
from rmlib.loss.sampling import BASELINES
from rmlib.widgets.framework.explorer import Explorer, buttons, control, menu, slider

from .figure import EstimatorPicture, alt_text
from .numbers import LOGITS, MODELS, SAMPLES, SEEDS, Direction, Squared, cloud, exact

ALONE = ("none", "greedy", "minimum_risk")  # the baselines that one sample is enough for


class EstimatorExplorer(Explorer):
    """Sampled gradients of E[R] for a tiny tagger, around the exact gradient.

    There are two sentences of three words and three tags, so that all 729 taggings can be
    enumerated. Each point is the gradient that one training step would take, from K sampled
    taggings.

    Args:
        samples: K, one of `SAMPLES`; 1 only with a baseline that does not compare the samples with
            each other.
        baseline: one of `sampling.BASELINES`, or "minimum_risk".
        reward: "accuracy", "f1" or "entity_f1".
        model: "wrong", "uncertain", "fair" or "confident": what the tagger predicts.
        seed: 0 to 9; another seed draws another cloud from the same distribution.

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    samples = control(
        "samples", "K, the sampled taggings of one estimate; setting it moves the slider."
    )
    baseline = control(
        "baseline", "What is subtracted from a sample's reward; setting it moves the menu."
    )
    reward = control("reward", "The metric whose gradient is estimated; setting it moves the menu.")
    model = control("model", "What the tagger predicts; setting it presses the button.")
    seed = control("seed", "The seed of the random numbers; setting it moves the slider.")

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
        self._picture: EstimatorPicture | None = None
        self._controls["baseline"].observe(self._offer_stops, "value")
        self._offer_stops()
        self.baseline = baseline  # before samples: it decides whether the slider has K = 1
        self.samples = samples
        self.reward = reward
        self.model = model
        self.seed = seed

    def _offer_stops(self, change=None) -> None:
        """Put K = 1 on the slider where the baseline allows it, and only there."""
        widget = self._controls["samples"]
        stops = SAMPLES if self.baseline in ALONE else SAMPLES[1:]
        if tuple(widget.options) != stops:
            kept = max(widget.value, stops[0])
            widget.options = stops  # sets the value to the first of them
            widget.value = kept

    @property
    def state(self) -> SimpleNamespace:
        """The values of the controls, by name."""
        state = super().state
        if state.baseline not in ALONE:  # the slider follows the menu a moment later
            state.samples = max(state.samples, 2)
        return state

    @property
    def exact(self) -> np.ndarray:
        """The exact gradient of E[R] with respect to the logits, (sentences, words, tags)."""
        return exact(self.reward, self.model).gradient.reshape(np.shape(LOGITS)).copy()

    @property
    def mean(self) -> np.ndarray:
        """The mean of the estimates, (sentences, words, tags)."""
        return cloud(self.state).mean.reshape(np.shape(LOGITS))

    @property
    def direction(self) -> Direction:
        """Where the mean points: its share of the exact gradient, and the angle between them."""
        return cloud(self.state).direction

    @property
    def bias(self) -> Squared:
        """The squared bias, as a share of the exact gradient's square, with its standard error."""
        return cloud(self.state).bias

    @property
    def variance(self) -> float:
        """The variance of an estimate, as a share of the exact gradient's square."""
        return cloud(self.state).variance

    @property
    def variance_of_none(self) -> float:
        """The exact variance without a baseline at the same K, by enumeration."""
        return cloud(self.state).none

    def draw(self, state) -> tuple[Figure, str]:
        self._picture = self._picture or EstimatorPicture()
        numbers = cloud(state)
        return self._picture.draw(state, numbers), alt_text(state, numbers)
