"""A linear head on frozen features, trained anew at every move of α or of the reward, in a fraction of a second.

    head = Head(train.x, train.y, len(train.labels), train.lengths)
    fit = head.fit(alpha=3, reward="soft_f1")     # from where the head stands
    fits = head.sweep([0, 1, 10], "soft_f1")      # several α as one batch; the head stays where it is

Multinomial logistic regression, logits = x W + b, on L = L_p + α·L_r + (weight decay / 2)·|W|², b left out of the last
term. At α = 0 the loss is convex: the head is *the* minimum, wherever it came from. The rewards are not convex: with
α > 0 where the head ends may depend on the way that it took. `restart()` goes back to zero weights.
"""

import math
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.determinism import one_thread, seeded
from rmlib.errors import RmlibValueError
from rmlib.loss.objective import Loss, RewardObjective
from rmlib.loss.rewards import Reward, find
from rmlib.loss.sampled_metrics import NO_WORD

from .lbfgs import Descent

EVALUATIONS, STEPS = 16, 8  # of a move: budgets are counted and never timed, so that the same moves give the same head
BATCH = 4096  # words, for rewards that are too dear on all of them
CLOSE = 1e-4  # a fit is called converged when L may still fall by this much times (1 + α), or less


class Fit(NamedTuple):
    """A trained head.

    Attributes:
        weights: (width + 1, classes); the last row is the bias b.
        alpha, reward: what it was trained for; the name of the reward.
        loss: the terms in plain numbers, L with the weight decay in it; of all items, or, for a reward that is too
            dear on all, of the first batch.
        path: L after every step that was taken, the start first; it never rises (empty for a dear reward).
        evaluations: how often the loss and its gradient were computed.
        gradient: the length of the gradient of L at the end.
        left: how much L may still fall, by the quadratic model at the end: -(slope of the next step) / 2.
        converged: `left` is small. Always False for a dear reward, whose gradient is that of a batch.
        milliseconds: that it took.
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
        """(items, classes) of x (items, width)."""
        return x @ self.weights[:-1] + self.weights[-1]


class Head:
    """The head. `weights` (width + 1, classes) are where it stands: at first the minimum at α = 0.

    Args:
        x: (items, width) float32. Its columns should be of about equal size, for one weight decay serves all.
        y: (items,) int, 0 to classes - 1.
        lengths: items of each sentence, for rewards that look at sentences; None: all are one sentence.
        weight_decay: above 0.
        seed: of the batches and samples, for rewards that need them.

    Raises:
        RmlibValueError: shapes, labels or a weight decay that do not fit.
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
                f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}, the lengths add up to {sum(lengths)}; "
                "expected (items, width), (items,) and items, at least 1"
            )
        if not (int(y.min()) >= 0 and int(y.max()) < classes):
            raise RmlibValueError(f"labels run from {int(y.min())} to {int(y.max())}; expected 0 to {classes - 1}")
        if not (math.isfinite(weight_decay) and weight_decay > 0):
            raise RmlibValueError(f"weight_decay is {weight_decay!r}; expected a number above 0")
        self.x = torch.cat([x.float(), torch.ones(len(x), 1)], 1)  # the last column times the last row is b
        self.y, self.classes, self.lengths = y.long(), classes, lengths
        self.weight_decay, self.background, self.seed = weight_decay, background, seed
        self._batches = self._cut()
        with one_thread():
            self.base = self._cross_entropy()
        self.weights = self.base

    def restart(self) -> None:
        """Go back to weights of 0."""
        self.weights = torch.zeros_like(self.base)

    def fit(self, alpha: float, reward: str | Reward = "soft_f1", evaluations: int = EVALUATIONS) -> Fit:
        """Train from where the head stands; it stands at the result afterwards.

        Args:
            evaluations: of the loss and its gradient, at most. A dear reward takes `STEPS` steps whatever this is.

        Raises:
            ValueError: alpha below 0, a reward that is not known, or one that does not fit the classes.
        """
        (fit,) = self._fit([alpha], reward, self.weights, evaluations)
        self.weights = fit.weights
        return fit

    def sweep(self, alphas, reward: str | Reward = "soft_f1", evaluations: int = EVALUATIONS) -> list[Fit]:
        """A head for each α, all from the minimum at α = 0, so that no way to them plays a part. The rewards that are
        not dear are solved as one batch: one product with x for all α. The head itself stays where it is."""
        return self._fit(list(alphas), reward, self.base, evaluations)

    def _fit(self, alphas: list[float], reward, start: Tensor, evaluations: int) -> list[Fit]:
        began, chosen = perf_counter(), find(reward)
        with one_thread():
            if not dear(chosen):
                return self._solve([self._objective(a, chosen) for a in alphas], start, evaluations, began)
            fits = []
            for alpha in alphas:  # at α = 0 the reward plays no part, and there is a minimum to be found
                objective = self._objective(alpha, chosen)
                if objective.alpha:
                    fits.append(self._steps(objective, start, began))
                else:
                    (fit,) = self._solve([self._objective(0.0, find("gce"))], start, evaluations, began)
                    terms = self._on_batch(objective, fit.weights, 0)[0]
                    fits.append(fit._replace(reward=chosen.name, loss=fit.loss._replace(reward=terms.reward)))
                began = perf_counter()
            return fits

    def _objective(self, alpha: float, reward: Reward) -> RewardObjective:
        return RewardObjective(alpha, reward, self.background)

    # Rewards of all items at once ------------------------------------------------------------------------------------

    def _solve(self, objectives, start: Tensor, evaluations: int, began: float, tolerance=CLOSE / 10) -> list[Fit]:
        """One descent for each objective, side by side."""
        scales = [1.0 if o.alpha == math.inf else 1 + o.alpha for o in objectives]
        rows = [Descent(start, self._precondition, scale, tolerance * scale) for scale in scales]
        terms: dict[int, Loss] = {}  # of the last step that was taken
        for _ in range(max(evaluations, 1)):
            going = [i for i, row in enumerate(rows) if not row.done]
            if not going:
                break
            found = self.values([objectives[i] for i in going], torch.stack([rows[i].trial for i in going]))
            for i, loss, gradient in zip(going, *found, strict=True):
                steps = len(rows[i].path)
                rows[i].tell(loss.total, gradient)
                if len(rows[i].path) > steps:
                    terms[i] = loss
        took = (perf_counter() - began) * 1000
        return [
            Fit(
                row.w,
                objective.alpha,
                objective.reward.name,
                terms[i],
                row.path,
                row.evaluations,
                float(row.gradient.norm()),
                row.left,
                row.left <= CLOSE * scale,
                took,
            )
            for i, (row, objective, scale) in enumerate(zip(rows, objectives, scales, strict=True))
        ]

    def values(self, objectives: list[RewardObjective], weights: Tensor) -> tuple[list[Loss], Tensor]:
        """The terms, and the gradients of L (objectives, width + 1, classes), of one head an objective, on all items.

        weights: (objectives, width + 1, classes).
        """
        z = (self.x @ weights.transpose(0, 1).flatten(1)).unflatten(1, (-1, self.classes))
        losses, slopes = [], []
        for i, objective in enumerate(objectives):
            own = z[:, i].contiguous().requires_grad_()
            loss = objective(own, self.y)
            slopes.append(torch.autograd.grad(loss.total, own)[0])
            losses.append(self._with_decay(loss, weights[i]))
        gradients = (self.x.T @ torch.cat(slopes, 1)).unflatten(1, (-1, self.classes)).transpose(0, 1)
        return losses, gradients + self._decay(weights)

    def _with_decay(self, loss: Loss, w: Tensor) -> Loss:
        decay = self.weight_decay / 2 * float(w[:-1].square().sum())
        total, prediction, reward = (float(term.detach()) for term in loss)
        return Loss(total + decay, prediction, reward)

    def _decay(self, w: Tensor) -> Tensor:
        """The slope of the weight decay."""
        slope = self.weight_decay * w
        slope[..., -1, :] = 0
        return slope

    def _cross_entropy(self) -> Tensor:
        """The minimum at α = 0, and there the Hessian that all later steps are measured with."""
        objective = self._objective(0.0, find("gce"))
        shares = (self.y[:, None] == torch.arange(self.classes)).float().mean(0).expand(len(self.y), -1)
        w = torch.zeros(self.x.shape[1], self.classes)
        for evaluations in (15, 30, 200):  # the first Hessian is that of a head that knows the shares of the classes
            self._precondition = self._inverse(shares)
            (fit,) = self._solve([objective], w, evaluations, 0.0, CLOSE / 1000)
            w, shares = fit.weights, (self.x @ fit.weights).softmax(-1)
        self._precondition = self._inverse(shares)
        return w

    def _inverse(self, p: Tensor) -> Callable[[Tensor], Tensor]:
        """Solves with the Hessian of L_p at probabilities p, class by class: what happens between the classes is left
        to the descent. (Böhning 1992 bounds the same Hessian once for all p; this one fits far better near p.)"""
        width = self.x.shape[1]
        decay = torch.full((width,), self.weight_decay)
        decay[-1] = 1e-6
        blocks = torch.stack([(self.x * weight[:, None]).T @ self.x for weight in (p * (1 - p)).T])
        inverse = torch.linalg.inv(blocks.double() / len(p) + decay.double().diag()).float()
        return lambda g: (inverse @ g.T[..., None])[..., 0].T

    # Rewards that are too dear for that -------------------------------------------------------------------------------

    def _cut(self) -> list[Tensor]:
        """Batches of whole sentences of about `BATCH` words: (sentences, words) indices of items, -1 after the end."""
        order = torch.randperm(len(self.lengths), generator=torch.Generator().manual_seed(self.seed)).tolist()
        ends = torch.tensor(self.lengths).cumsum(0).tolist()
        groups: list[list[Tensor]] = [[]]
        for i in order:
            if sum(map(len, groups[-1])) >= BATCH:
                groups.append([])
            groups[-1].append(torch.arange(ends[i] - self.lengths[i], ends[i]))
        return [torch.nn.utils.rnn.pad_sequence(group, batch_first=True, padding_value=-1) for group in groups]

    def _on_batch(self, objective, w: Tensor, number: int) -> tuple[Loss, Tensor]:
        """The terms and the gradient on one batch."""
        places = self._batches[number % len(self._batches)]
        is_word = places >= 0
        items = places[is_word]
        x, labels = self.x[items], self.y[items]
        z = (x @ w).requires_grad_()
        logits = z
        if objective.reward.sentences:
            logits = z.new_zeros(*places.shape, self.classes).index_put((is_word,), z)
            labels = torch.full_like(places, NO_WORD).masked_scatter(is_word, labels)
        with seeded(self.seed + number):
            loss = objective(logits, labels)
        gradient = x.T @ torch.autograd.grad(loss.total, z)[0] + self._decay(w)
        return self._with_decay(loss, w), gradient

    def _steps(self, objective: RewardObjective, start: Tensor, began: float) -> Fit:
        """A fixed number of steps of preconditioned stochastic gradient descent on batches, each shorter than the one
        before (Robbins and Monro 1951), and none so long that the model's answers change at a leap."""
        w, scale = start, 1.0 if objective.alpha == math.inf else 1 + objective.alpha
        for number in range(STEPS):
            loss, gradient = self._on_batch(objective, w, number)
            step = self._precondition(gradient) / scale
            length = float((gradient * step).sum() / scale) ** 0.5  # its square is twice the change, as a KL divergence
            w = w - step * min(1 / (2 + number), 0.3 / max(length, 1e-12))
        loss, gradient = self._on_batch(objective, w, 0)
        left = float((gradient * self._precondition(gradient)).sum()) / (2 * scale)
        took = (perf_counter() - began) * 1000
        name = objective.reward.name
        return Fit(w, objective.alpha, name, loss, [], STEPS + 1, float(gradient.norm()), left, False, took)


def dear(reward: Reward) -> bool:
    """Whether a reward takes too long on 20,000 items: it is sampled, or compares every item with every positive."""
    return reward.sampled or reward.name.split("(")[0] == "smooth_ap"
