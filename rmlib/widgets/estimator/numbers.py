"""The numbers of the estimator explorer: the exact gradient and many sampled estimates of it."""

import math
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

from rmlib.determinism import seeded
from rmlib.loss.sampled_metrics import METRICS, entity_f1_counts, share
from rmlib.loss.sampling import enumerated, estimated

SENTENCES = (("Amina", "Diallo", "left"), ("Rose", "in", "Ghent"))
TAGS = ("O", "B-PER", "I-PER")
LABELS = ((1, 2, 0), (1, 0, 0))
# What the model predicts: logits (sentences, words, tags), to be multiplied by the sharpness in
# MODELS. It tags Rose as O.
LOGITS = (
    ((0.0, 1.0, 0.2), (0.3, 0.0, 1.0), (1.0, 0.0, 0.0)),
    ((0.6, 0.2, 0.0), (0.8, 0.2, -0.3), (1.0, 0.3, 0.0)),
)
MODELS = {"wrong": -1.5, "uncertain": 0.5, "fair": 1.5, "confident": 4.0}
SAMPLES = (1, 2, 3, 4, 8, 16, 32, 64)
SEEDS = range(10)
ESTIMATES = 300
CHUNK = 50  # estimates at once: the tables of K = 64 then fit into the processor's cache


class Exact(NamedTuple):
    """What enumeration gives.

    Attributes:
        gradient: (values,) of E[R] with respect to the logits.
        directions: (2, values) orthonormal: the axes of the picture.
        covariance: (values, values) of the estimate from one sample without a baseline.
    """

    gradient: np.ndarray
    directions: np.ndarray
    covariance: np.ndarray


class Squared(NamedTuple):
    """The squared length of an expectation, from a mean of estimates.

    The squared length of a mean is too large by the variance of the mean; here that is subtracted.
    So the value is right on average, and below 0 about half the time where the truth is 0.

    Attributes:
        value: the unbiased estimate.
        error: its standard error.
    """

    value: float
    error: float

    @property
    def resolved(self) -> bool:
        """Whether it is more than two standard errors above 0."""
        return self.value > 2 * self.error

    @property
    def below(self) -> float:
        """Two standard errors above the estimate: a bound for what is not resolved."""
        return max(self.value, 0.0) + 2 * self.error


class Direction(NamedTuple):
    """Where the mean of estimates points, beside the exact gradient, whose length is 1.

    Attributes:
        share: the length of the mean along the exact gradient.
        error: the standard error of the share.
        aside: the squared length of the mean at right angles to it.
    """

    share: float
    error: float
    aside: Squared

    @property
    def degrees(self) -> float | None:
        """The angle between the mean and the exact gradient; None: not resolved."""
        return self._angle(self.aside.value) if self.aside.resolved else None

    @property
    def degrees_error(self) -> float:
        """The standard error of the angle, where it is resolved."""
        length = math.sqrt(max(self.aside.value, self.aside.error))
        squared = self.share**2 + length**2
        by_aside = self.share * self.aside.error / (2 * length)
        return math.degrees(math.hypot(by_aside, length * self.error) / squared)

    @property
    def below(self) -> float:
        """An upper bound of the angle, in degrees: with `aside` two standard errors higher."""
        return self._angle(self.aside.below)

    def _angle(self, aside: float) -> float:
        return math.degrees(math.atan2(math.sqrt(aside), self.share))

    def __str__(self) -> str:
        if self.degrees is None:
            return f"turn not resolved (below {self.below:.1f}°)"
        error = self.degrees_error
        return f"turned by {self.degrees:.1f}° ± {error:.{1 if error >= 0.1 else 2}f}°"


class Cloud(NamedTuple):
    """What the estimates give. The unit of length is the length of the exact gradient.

    Attributes:
        estimates: (estimates, 2) along the exact gradient and at right angles to it.
        mean: (values,) the mean estimate, in the logits' own unit.
        direction: of the mean, beside the exact gradient.
        bias: the squared distance of the mean from the exact gradient.
        variance: the mean squared distance of an estimate from the mean.
        squared_error: the mean squared distance of an estimate from the exact gradient.
        none: the exact variance without a baseline at the same K.
    """

    estimates: np.ndarray
    mean: np.ndarray
    direction: "Direction"
    bias: "Squared"
    variance: float
    squared_error: float
    none: float


def logits_of(model: str) -> torch.Tensor:
    """(sentences, words, tags) for a name in `MODELS`."""
    return MODELS[model] * torch.tensor(LOGITS, dtype=torch.float64)


@lru_cache
def exact(reward: str, model: str) -> Exact:
    """Enumerate all 729 taggings.

    The second direction is the one at right angles to the exact gradient in which estimates without
    a baseline have the largest variance.
    """
    labels = torch.tensor(LABELS)
    z = logits_of(model).requires_grad_()
    enumerated(z, labels, reward).backward()
    gradient = z.grad.flatten().numpy()
    taggings = torch.cartesian_prod(*[torch.arange(len(TAGS))] * labels.numel())
    taggings = taggings.reshape(-1, *labels.shape)
    counts_of, score = METRICS[reward]
    p = z.detach().softmax(-1)
    p_words = p.expand(len(taggings), *p.shape).gather(-1, taggings[..., None])
    probabilities = p_words.flatten(1).prod(-1).numpy()
    one_hot = torch.nn.functional.one_hot(taggings, len(TAGS))
    scores = (one_hot - p).flatten(1).numpy()  # d log pi / dz
    rewards = score(counts_of(taggings, labels, 0).double().sum(1)).numpy()
    one = scores * rewards[:, None]
    covariance = (one * probabilities[:, None]).T @ one - np.outer(gradient, gradient)
    along = gradient / np.linalg.norm(gradient)
    across = np.eye(len(along)) - np.outer(along, along)
    widest = np.linalg.eigh(across @ covariance @ across)[1][:, -1]
    widest *= np.sign(widest[np.abs(widest).argmax()])  # an eigenvector's sign is arbitrary
    return Exact(gradient, np.stack([along, widest]), covariance)


def estimates_of(
    count: int, samples: int, baseline: str, reward: str, model: str, seed: int, chunk: int
) -> np.ndarray:
    """Estimates of the gradient, (count, values), by `sampling.estimated`, `chunk` at once."""
    labels = torch.tensor(LABELS)
    z = logits_of(model).float()
    one = torch.func.grad(lambda z: estimated(z, labels, 0, reward, samples, baseline))
    many = torch.func.vmap(one, randomness="different", chunk_size=chunk)
    with seeded(seed):
        return many(z.expand(count, *z.shape)).flatten(1).double().numpy()


@lru_cache(maxsize=64)
def gradients(samples: int, baseline: str, reward: str, model: str, seed: int) -> np.ndarray:
    """The 300 estimates of a picture, (300, values)."""
    return estimates_of(ESTIMATES, samples, baseline, reward, model, seed, CHUNK)


def squared(off: np.ndarray, covariance: np.ndarray) -> Squared:
    """The squared length of the expectation of a mean.

    Args:
        off: (values,) the mean.
        covariance: (values, values) of the mean: that of one estimate, divided by their number.
    """
    noise = 2 * np.sum(covariance**2)  # the variance of |off|² where its expectation is 0
    spread = 4 * off @ covariance @ off - noise  # the same for a normal mean anywhere, unbiased
    return Squared(float(off @ off - np.trace(covariance)), float(max(spread, noise) ** 0.5))


def direction_of(estimates: np.ndarray, gradient: np.ndarray) -> Direction:
    """Where the mean of estimates (estimates, values) points, beside the exact gradient."""
    length = np.linalg.norm(gradient)
    along = gradient / length
    mean = estimates.mean(0) / length
    covariance = np.cov(estimates.T) / len(estimates) / length**2
    share = float(mean @ along)
    across = np.eye(len(along)) - np.outer(along, along)
    aside = squared(across @ mean, across @ covariance @ across)
    return Direction(share, float((along @ covariance @ along) ** 0.5), aside)


def direction(
    baseline: str,
    samples: int,
    estimates: int = 60_000,
    reward: str = "entity_f1",
    model: str = "fair",
    seed: int = 0,
) -> Direction:
    """Where a baseline's mean gradient points; an angle takes more estimates than a picture.

    Args:
        baseline, samples, reward, model, seed: as in `EstimatorExplorer`.
        estimates: how many; the standard error shrinks with their square root.
    """
    chunk = max(CHUNK, 100_000 // samples**2)
    sampled = estimates_of(estimates, samples, baseline, reward, model, seed, chunk)
    return direction_of(sampled, exact(reward, model).gradient)


def variance_saved(sentences: int, samples: int = 8, times: int = 300, seed: int = 1) -> float:
    """How many times smaller a variance gets when each sentence of a batch is judged by itself.

    The reward is entity F1 over a batch of random sentences of six words. One estimator judges all
    of them by this one number, the other judges each with the others held (`sampling.estimated`).
    """

    def of_all(drawn, labels):
        return share(entity_f1_counts(drawn, labels).sum(1).double())

    with seeded(seed):
        labels = torch.randint(len(TAGS), (sentences, 6))
        z = torch.randn(sentences, 6, len(TAGS))
        z = z + 2 * torch.nn.functional.one_hot(labels, len(TAGS))
        variance = {}
        for metric in (of_all, "entity_f1"):
            one = torch.func.grad(lambda z, m=metric: estimated(z, labels, 0, m, samples))
            many = torch.func.vmap(one, randomness="different", chunk_size=CHUNK)
            variance[metric] = float(many(z.expand(times, *z.shape)).flatten(1).var(0).sum())
    return variance[of_all] / variance["entity_f1"]


def cloud(state: SimpleNamespace) -> Cloud:
    """The numbers of a state of the explorer."""
    gradient, directions, covariance = exact(state.reward, state.model)
    length = np.linalg.norm(gradient)
    unit = gradient / length
    raw = gradients(state.samples, state.baseline, state.reward, state.model, state.seed)
    sampled = raw / length
    mean = sampled.mean(0)
    return Cloud(
        estimates=sampled @ directions.T,
        mean=mean * length,
        direction=direction_of(raw, gradient),
        bias=squared(mean - unit, np.cov(sampled.T) / len(sampled)),
        variance=float(sampled.var(0, ddof=1).sum()),
        squared_error=float(((sampled - unit) ** 2).sum(1).mean()),
        none=float(np.trace(covariance) / state.samples / length**2),
    )
