"""A linear head on frozen features, fast enough to retrain at every move of a slider.

    head = Head(train.x, train.y, len(train.labels), train.lengths)
    fit = head.fit(alpha=3, reward="soft_f1")     # starts from the head's weights
    fits = head.sweep([0, 1, 10], "soft_f1")      # several α as one batch; `head` is not changed

Multinomial logistic regression, logits = x W + b, on L = L_p + α·L_r + (weight decay / 2)·|W|². At
α = 0 the loss is convex, and the head is its minimum. The rewards are not convex: with α > 0 the
result may depend on the starting point.
"""

import math
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rmlib.determinism import one_thread, seeded
from rmlib.errors import RmlibValueError
from rmlib.loss.objective import Loss, RewardObjective
from rmlib.loss.rewards import Reward, find
from rmlib.loss.sampled_metrics import PADDING

from .lbfgs import LBFGS

# limits of a fit; counted and not timed, so that the same calls give the same head
EVALUATIONS = 16
STEPS = 8  # for expensive rewards
BATCH = 4096  # words per batch, for expensive rewards
CLOSE = 1e-4  # converged: the predicted decrease of L is at most this times (1 + α)


class Fit(NamedTuple):
    """A trained head.

    Attributes:
        weights: (width + 1, classes); the last row is the bias b.
        alpha: what it was trained for.
        reward: the name of the reward.
        loss: the terms as floats, L with the weight decay in it; on all items, or on the first
            batch for an expensive reward.
        path: L after every accepted step, the start first; it never rises (empty for an expensive
            reward).
        evaluations: how often the loss and its gradient were computed.
        gradient: the norm of the gradient of L at the end.
        left: the predicted decrease of L, by the quadratic model at the end.
        converged: whether `left` is small; always False for an expensive reward, whose gradient is
            that of a batch.
        milliseconds: the time it took.
    """

    weights: Tensor
    alpha: float
    reward: str
    loss: Loss
    path: list[float]
    evaluations: int
    gradient: float
    left: float
    converged: bool
    milliseconds: float

    def logits(self, x: Tensor) -> Tensor:
        """Logits (items, classes) of x (items, width)."""
        return x @ self.weights[:-1] + self.weights[-1]


class Head:
    """A linear head with its training data.

    Args:
        x: (items, width) float32. Its columns should be of about equal size, because all share one
            weight decay.
        y: (items,) int, 0 to classes - 1.
        classes: how many there are.
        lengths: items of each sentence, for rewards per sentence; None: all are one sentence.
        weight_decay: above 0.
        background: the class that metrics leave out.
        seed: of the batches and samples of expensive rewards.

    Attributes:
        weights: (width + 1, classes), at first the minimum at α = 0.
        base: the minimum at α = 0.

    Raises:
        RmlibValueError: shapes or labels do not fit, or the weight decay is out of range.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        classes: int,
        lengths: list[int] | None = None,
        weight_decay: float = 3e-3,
        background: int = 0,
        seed: int = 0,
    ):
        lengths = [len(y)] if lengths is None else lengths
        if x.ndim != 2 or len(x) != len(y) or sum(lengths) != len(y) or len(y) == 0:
            raise RmlibValueError(
                f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}, "
                f"the lengths add up to {sum(lengths)}; "
                "expected (items, width), (items,) and items, at least 1"
            )
        if not (int(y.min()) >= 0 and int(y.max()) < classes):
            raise RmlibValueError(
                f"labels run from {int(y.min())} to {int(y.max())}; expected 0 to {classes - 1}"
            )
        if not (math.isfinite(weight_decay) and weight_decay > 0):
            raise RmlibValueError(f"weight_decay is {weight_decay!r}; expected a number above 0")
        # the column of ones times the last row of the weights is b
        self.x = torch.cat([x.float(), torch.ones(len(x), 1)], 1)
        self.y = y.long()
        self.classes = classes
        self.lengths = lengths
        self.weight_decay = weight_decay
        self.background = background
        self.seed = seed
        self._batches = self._make_batches()
        with one_thread():
            self.base = self._fit_cross_entropy()
        self.weights = self.base

    def restart(self) -> None:
        """Set the weights to 0."""
        self.weights = torch.zeros_like(self.base)

    def fit(
        self, alpha: float, reward: str | Reward = "soft_f1", evaluations: int = EVALUATIONS
    ) -> Fit:
        """Train from `weights`, and keep the result there.

        Args:
            alpha: at least 0; math.inf for the reward alone.
            reward: a name of `REWARDS`, or a `Reward`.
            evaluations: of the loss and its gradient, at most. An expensive reward always takes
                `STEPS` steps.

        Raises:
            ValueError: alpha is below 0, or the reward is unknown or does not fit the classes.
        """
        (fit,) = self._fit([alpha], reward, self.weights, evaluations)
        self.weights = fit.weights
        return fit

    def sweep(
        self, alphas, reward: str | Reward = "soft_f1", evaluations: int = EVALUATIONS
    ) -> list[Fit]:
        """One fit per α, each from the minimum at α = 0; `weights` stay as they are.

        Inexpensive rewards are solved as one batch: one product with x for all α. Errors as `fit`.
        """
        return self._fit(list(alphas), reward, self.base, evaluations)

    def _fit(self, alphas: list[float], reward, start: Tensor, evaluations: int) -> list[Fit]:
        began = perf_counter()
        reward = find(reward)
        with one_thread():
            if reward.is_expensive:
                return [self._fit_expensive(a, reward, start, evaluations) for a in alphas]
            objectives = [self._objective(a, reward) for a in alphas]
            return self._minimise(objectives, start, evaluations, began)

    def _fit_expensive(self, alpha: float, reward: Reward, start: Tensor, evaluations: int) -> Fit:
        began = perf_counter()
        objective = self._objective(alpha, reward)
        if objective.alpha:
            return self._descend(objective, start, began)
        # at α = 0 the reward has no effect, and the loss has a minimum
        (fit,) = self._minimise([self._objective(0.0, find("gce"))], start, evaluations, began)
        terms, _ = self._on_batch(objective, fit.weights, 0)
        return fit._replace(reward=reward.name, loss=fit.loss._replace(reward=terms.reward))

    def _objective(self, alpha: float, reward: Reward) -> RewardObjective:
        return RewardObjective(alpha, reward, self.background)

    def _minimise(
        self, objectives, start: Tensor, evaluations: int, began: float, tolerance=CLOSE / 10
    ) -> list[Fit]:
        """Minimise each objective by L-BFGS, all side by side."""
        scales = [_scale(objective.alpha) for objective in objectives]
        runs = [LBFGS(start, self._precondition, scale, tolerance * scale) for scale in scales]
        terms: dict[int, Loss] = {}  # of the last accepted step
        for _ in range(max(evaluations, 1)):
            active = [i for i, run in enumerate(runs) if not run.done]
            if not active:
                break
            trials = torch.stack([runs[i].trial for i in active])
            losses, gradients = self.values([objectives[i] for i in active], trials)
            for i, loss, gradient in zip(active, losses, gradients, strict=True):
                accepted = len(runs[i].path)
                runs[i].update(loss.total, gradient)
                if len(runs[i].path) > accepted:
                    terms[i] = loss
        took = (perf_counter() - began) * 1000
        fits = []
        for i, (run, objective, scale) in enumerate(zip(runs, objectives, scales, strict=True)):
            norm = float(run.gradient.norm())
            converged = run.left <= CLOSE * scale
            outcome = (run.path, run.evaluations, norm, run.left, converged, took)
            fits.append(Fit(run.w, objective.alpha, objective.reward.name, terms[i], *outcome))
        return fits

    def values(
        self, objectives: list[RewardObjective], weights: Tensor
    ) -> tuple[list[Loss], Tensor]:
        """The terms and gradients of L on all items, for one head per objective.

        `weights` and gradients are (objectives, width + 1, classes).
        """
        z = (self.x @ weights.transpose(0, 1).flatten(1)).unflatten(1, (-1, self.classes))
        losses, logit_gradients = [], []
        for i, objective in enumerate(objectives):
            own = z[:, i].contiguous().requires_grad_()
            loss = objective(own, self.y)
            logit_gradients.append(torch.autograd.grad(loss.total, own)[0])
            losses.append(self._with_decay(loss, weights[i]))
        flat = self.x.T @ torch.cat(logit_gradients, 1)
        gradients = flat.unflatten(1, (-1, self.classes)).transpose(0, 1)
        return losses, gradients + self._decay_gradient(weights)

    def _with_decay(self, loss: Loss, w: Tensor) -> Loss:
        decay = self.weight_decay / 2 * float(w[:-1].square().sum())
        total, prediction, reward = (float(term.detach()) for term in loss)
        return Loss(total + decay, prediction, reward)

    def _decay_gradient(self, w: Tensor) -> Tensor:
        gradient = self.weight_decay * w
        gradient[..., -1, :] = 0  # the bias has no decay
        return gradient

    def _fit_cross_entropy(self) -> Tensor:
        """The minimum at α = 0; sets the preconditioner of all later fits to its Hessian."""
        objective = self._objective(0.0, find("gce"))
        one_hot = self.y[:, None] == torch.arange(self.classes)
        w = torch.zeros(self.x.shape[1], self.classes)
        # the first Hessian is that of a head that predicts the shares of the classes
        p = one_hot.float().mean(0).expand(len(self.y), -1)
        for evaluations in (15, 30, 200):
            self._precondition = self._inverse(p)
            (fit,) = self._minimise([objective], w, evaluations, 0.0, CLOSE / 1000)
            w = fit.weights
            p = (self.x @ w).softmax(-1)
        self._precondition = self._inverse(p)
        return w

    def _inverse(self, p: Tensor) -> Callable[[Tensor], Tensor]:
        """The inverse of the blocks of the Hessian of L_p at probabilities p, one per class.

        Böhning (1992) bounds the same Hessian for all p; this one is far closer near p.
        """
        decay = torch.full((self.x.shape[1],), self.weight_decay)
        decay[-1] = 1e-6
        blocks = torch.stack([(self.x * weight[:, None]).T @ self.x for weight in (p * (1 - p)).T])
        inverse = torch.linalg.inv(blocks.double() / len(p) + decay.double().diag()).float()
        return lambda g: (inverse @ g.T[..., None])[..., 0].T

    def _make_batches(self) -> list[Tensor]:
        """Batches of whole sentences: (sentences, words) indices of items, -1 on padding."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        ends = torch.tensor(self.lengths).cumsum(0).tolist()
        groups: list[list[Tensor]] = [[]]
        for i in order:
            if sum(map(len, groups[-1])) >= BATCH:
                groups.append([])
            groups[-1].append(torch.arange(ends[i] - self.lengths[i], ends[i]))
        return [pad_sequence(group, batch_first=True, padding_value=-1) for group in groups]

    def _on_batch(self, objective, w: Tensor, number: int) -> tuple[Loss, Tensor]:
        """The terms and the gradient of L on one batch."""
        indices = self._batches[number % len(self._batches)]
        mask = indices >= 0
        items = indices[mask]
        x, labels = self.x[items], self.y[items]
        z = (x @ w).requires_grad_()
        logits = z
        if objective.reward.sentences:
            logits = z.new_zeros(*indices.shape, self.classes).index_put((mask,), z)
            labels = torch.full_like(indices, PADDING).masked_scatter(mask, labels)
        with seeded(self.seed + number):
            loss = objective(logits, labels)
        gradient = x.T @ torch.autograd.grad(loss.total, z)[0] + self._decay_gradient(w)
        return self._with_decay(loss, w), gradient

    def _descend(self, objective: RewardObjective, start: Tensor, began: float) -> Fit:
        """`STEPS` steps of preconditioned stochastic gradient descent on batches.

        Step sizes decrease (Robbins and Monro 1951) and are clipped, so that the predictions never
        change abruptly.
        """
        w = start
        scale = _scale(objective.alpha)
        for number in range(STEPS):
            loss, gradient = self._on_batch(objective, w, number)
            step = self._precondition(gradient) / scale
            # its square is twice the KL divergence between the predictions before and after
            length = float((gradient * step).sum() / scale) ** 0.5
            w = w - step * min(1 / (2 + number), 0.3 / max(length, 1e-12))
        loss, gradient = self._on_batch(objective, w, 0)
        left = float((gradient * self._precondition(gradient)).sum()) / (2 * scale)
        norm = float(gradient.norm())
        took = (perf_counter() - began) * 1000
        name = objective.reward.name
        return Fit(w, objective.alpha, name, loss, [], STEPS + 1, norm, left, False, took)


def _scale(alpha: float) -> float:
    """The size of L's Hessian, as a multiple of that of L_p."""
    return 1.0 if alpha == math.inf else 1 + alpha
