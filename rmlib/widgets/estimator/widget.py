"""Why a baseline: a cloud of sampled gradients around the exact one, with bias and variance in numbers."""

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.loss.sampled_metrics import METRICS
from rmlib.loss.sampling import BASELINES
from rmlib.widgets.framework.explorer import Explorer, buttons, control, menu, slider

from .figure import _draw_bars, _draw_cloud, blank
from .numbers import ESTIMATES, LOGITS, MODELS, SAMPLES, SEEDS, cloud, truth

ALONE = ("none", "greedy", "minimum_risk")  # the baselines that one sample is enough for


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
