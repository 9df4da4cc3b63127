"""The numbers of the estimator explorer: the exact gradient and many sampled estimates of it."""

from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

from rmlib.determinism import seeded
from rmlib.loss.sampled_metrics import METRICS
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


class Cloud(NamedTuple):
    """What the estimates give. The unit of length is the length of the exact gradient.

    Attributes:
        estimates: (estimates, 2) along the exact gradient and at right angles to it.
        mean: (values,) the mean estimate, in the logits' own unit.
        share: the length of the mean along the exact gradient.
        error: the standard error of the share.
        bias: the squared distance of the mean from the exact gradient, minus its expectation for an
            unbiased estimate; at least 0.
        variance: the mean squared distance of an estimate from the mean.
        none: the exact variance without a baseline at the same K.
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


@lru_cache(maxsize=64)
def gradients(samples: int, baseline: str, reward: str, model: str, seed: int) -> np.ndarray:
    """300 estimates of the gradient, (300, values), by `sampling.estimated`."""
    labels = torch.tensor(LABELS)
    z = logits_of(model).float()
    one = torch.func.grad(lambda z: estimated(z, labels, 0, reward, samples, baseline))
    many = torch.func.vmap(one, randomness="different", chunk_size=CHUNK)
    with seeded(seed):
        return many(z.expand(ESTIMATES, *z.shape)).flatten(1).double().numpy()


def cloud(state: SimpleNamespace) -> Cloud:
    """The numbers of a state of the explorer."""
    gradient, directions, covariance = exact(state.reward, state.model)
    length = np.linalg.norm(gradient)
    sampled = gradients(state.samples, state.baseline, state.reward, state.model, state.seed)
    sampled = sampled / length
    mean = sampled.mean(0)
    estimates = sampled @ directions.T
    variance = sampled.var(0, ddof=1).sum()
    bias = np.sum((mean - gradient / length) ** 2) - variance / len(sampled)
    return Cloud(
        estimates=estimates,
        mean=mean * length,
        share=float(estimates[:, 0].mean()),
        error=float(estimates[:, 0].std(ddof=1) / len(sampled) ** 0.5),
        bias=float(max(bias, 0.0)),
        variance=float(variance),
        none=float(np.trace(covariance) / state.samples / length**2),
    )
