"""The numbers of the estimator explorer: the exact gradient and many sampled estimates of it."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from rmlib.determinism import seeded
from rmlib.loss.sampled_metrics import METRICS
from rmlib.loss.sampling import enumerated, estimated

SENTENCES = (("Amina", "Diallo", "left"), ("Rose", "in", "Ghent"))
TAGS = ("O", "B-PER", "I-PER")
LABELS = ((1, 2, 0), (1, 0, 0))
# What the model makes of it: logits (sentences, words, tags), times the sharpness below. Rose is taken for an O.
LOGITS = (((0.0, 1.0, 0.2), (0.3, 0.0, 1.0), (1.0, 0.0, 0.0)), ((0.6, 0.2, 0.0), (0.8, 0.2, -0.3), (1.0, 0.3, 0.0)))
MODELS = {"wrong": -1.5, "unsure": 0.5, "fair": 1.5, "sure": 4.0}
SAMPLES = (1, 2, 3, 4, 8, 16, 32, 64)
ESTIMATES, CHUNK = 300, 50  # in chunks the tables of K = 64 stay in the processor's cache
SEEDS = range(10)


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
