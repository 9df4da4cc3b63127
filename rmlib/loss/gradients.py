"""The gradient of a reward three ways: closed form, autograd and central differences.

The closed forms are derived by hand and share no code with `rewards.py`, so that each can be
checked against the other. Everywhere

    logits  (items, classes)  float
    labels  (items,)          int, 0 .. classes - 1

and a gradient is dR/dz, in the shape of the logits. Since L_r = 1 - R, the gradient of the reward
loss is the negative of it.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from .objective import combine
from .rewards import REWARDS, Reward, find

# Central differences have a rounding error of about eps/ε and a truncation error of about ε²; their
# sum is smallest near the cube root of eps.
STEP = torch.finfo(torch.float64).eps ** (1 / 3)  # 6e-6
# Largest relative error against autograd.
TOLERANCES = {"closed form": 1e-9, "central differences": 1e-6}
# eps/ε is 4e-11, so central differences cannot give six digits of a gradient smaller than this.
FLOOR = 1e-4

CLOSED_FORMS: dict[str, Callable[..., Tensor]] = {}


def closed(function):
    """A decorator that puts a function into `CLOSED_FORMS`; defaults are those of `rewards.py`."""
    CLOSED_FORMS[function.__name__] = function
    return function


def one_hot(labels: Tensor, y_hat: Tensor) -> Tensor:
    """Labels (items,) as 0 and 1, in the shape and type of ŷ (items, classes)."""
    return torch.nn.functional.one_hot(labels, y_hat.shape[-1]).to(y_hat.dtype)


def through_softmax(y_hat: Tensor, g: Tensor) -> Tensor:
    """From the gradient g = dR/dŷ to dR/dz = ŷ ⊙ (g - Σ_c ŷ_c g_c), all (items, classes).

    The softmax has ∂ŷ_c/∂z_k = ŷ_c (δ_ck - ŷ_k): only what differs from the item's mean counts.
    """
    return y_hat * (g - (y_hat * g).sum(-1, keepdim=True))


def positives(logits: Tensor, labels: Tensor, background: int) -> tuple[Tensor, Tensor, Tensor]:
    """ŷ, y, and a mask (classes,) with 0 at the background class and 1 elsewhere."""
    y_hat = logits.softmax(-1)
    positive = torch.ones(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    positive[background] = 0
    return y_hat, one_hot(labels, y_hat), positive


def divide(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both are 0."""
    return part / whole.clamp_min(torch.finfo(whole.dtype).tiny)


@closed
def expected_accuracy(logits, labels, background=0):
    """dR/dz = p_y (e_y - p) / N: the gradient of -L_p, re-weighted by p_y."""
    return gce(logits, labels, background, q=1.0)


@closed
def gce(logits, labels, background=0, q=0.7):
    """dR/dz = p_y^q (e_y - p) / N: expected accuracy for q = 1, -L_p for q to 0."""
    p = logits.softmax(-1)
    p_y = p.gather(-1, labels[:, None])
    return p_y**q * (one_hot(labels, p) - p) / len(labels)


@closed
def soft_f1(logits, labels, background=0):
    """dF̃/dŷ = (2y - F̃) / (Σy + Σŷ) on the positive classes: more ŷ pays where the label is 1."""
    return soft_fbeta(logits, labels, background, beta=1.0)


@closed
def soft_f1_macro(logits, labels, background=0):
    """The same for each class with its own F̃ and sums, divided by the number of classes."""
    return soft_fbeta(logits, labels, background, beta=1.0, average="macro")


@closed
def soft_fbeta(logits, labels, background=0, beta=2.0, average="micro"):
    """dF̃/dŷ = ((1 + β²) y - F̃) / (β² Σy + Σŷ) on the positive classes."""
    y_hat, y, positive = positives(logits, labels, background)
    true, predicted, actual = ((x * positive).sum(0) for x in (y_hat * y, y_hat, y))
    if average == "micro":
        true, predicted, actual = true.sum(), predicted.sum(), actual.sum()
        weight = positive
    else:
        present = (actual > 0).to(y.dtype)  # a class without a label takes no part in the mean
        weight = present / present.sum().clamp_min(1)
    total = beta**2 * actual + predicted
    f = divide((1 + beta**2) * true, total)
    return through_softmax(y_hat, weight * divide(positive * ((1 + beta**2) * y - f), total))


@closed
def tversky(logits, labels, background=0, a=0.3, b=0.7):
    """dT/dŷ = (y - T (y + a (1 - y) - b y)) / (TP + a FP + b FN)."""
    y_hat, y, positive = positives(logits, labels, background)
    tp, fp, fn = ((x * positive).sum() for x in (y_hat * y, y_hat * (1 - y), (1 - y_hat) * y))
    total = tp + a * fp + b * fn
    t = divide(tp, total)
    return through_softmax(y_hat, positive * divide(y - t * (y + a * (1 - y) - b * y), total))


@closed
def dice(logits, labels, background=0):
    """dD/dŷ = 2 (y - D ŷ) / (Σŷ² + Σy²): for y = 0 the gradient fades as ŷ gets small."""
    y_hat, y, positive = positives(logits, labels, background)
    total = ((y_hat**2 + y**2) * positive).sum()
    d = divide(2 * (y_hat * y * positive).sum(), total)
    return through_softmax(y_hat, positive * divide(2 * (y - d * y_hat), total))


@closed
def soft_mcc(logits, labels, background=0):
    """With N items and for each class n = Σŷ and t = Σy, let U = N² - Σn² and V = N² - Σt².

    Then M = (N Σŷy - Σ n t) / √(U V), so dM/dŷ = (N y - t) / √(U V) + M n / U.
    """
    y_hat, y, _ = positives(logits, labels, background)
    number, n, t = len(labels), y_hat.sum(0), y.sum(0)
    u, v = number**2 - (n**2).sum(), number**2 - (t**2).sum()
    if not min(u, v) > 0:  # one class only: not defined, R counts as 0
        return torch.zeros_like(logits)
    m = (number * (y_hat * y).sum() - (n * t).sum()) / (u * v).sqrt()
    return through_softmax(y_hat, (number * y - t) / (u * v).sqrt() + m * n / u)


@closed
def smooth_ap(logits, labels, background=0, tau=1.0):
    """With σ_ij = σ((s_j - s_i)/τ), let A_i = 1 + Σ_{j∈P} σ_ij and B_i = 1 + Σ_j σ_ij, j ≠ i.

    R is the mean of A_i / B_i over the positives, so dR/dσ_ij = (y_j / B_i - A_i / B_i²) / |P|.
    A score s_j raises every σ_ij and lowers every σ_jk, each with the derivative σ (1 - σ) / τ.
    """
    classes = logits.shape[-1]
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].masked_fill(itself, -math.inf)  # (items, class, all other classes)
    scores = logits - others.logsumexp(-1)  # the log-odds of each class
    by_score = torch.zeros_like(logits)  # dR/ds
    present = [c for c in range(classes) if c != background and (labels == c).any()]
    for c in present:
        y = (labels == c).to(logits.dtype)
        s = scores[:, c] / tau
        sigma = (s - s[:, None]).sigmoid().fill_diagonal_(0)
        a, b = 1 + sigma @ y, 1 + sigma.sum(1)
        by_sigma = y[:, None] * (y / b[:, None] - (a / b**2)[:, None]) / y.sum()
        by_pair = by_sigma * sigma * (1 - sigma) / tau  # 0 for j = i
        by_score[:, c] = (by_pair.sum(0) - by_pair.sum(1)) / len(present)
    # ds_c/dz_k is 1 for k = c, and minus the share of k among the other classes for k ≠ c
    return by_score - torch.einsum("ic,ick->ik", by_score, others.softmax(-1))


def closed_form(
    reward: str | Reward, logits: Tensor, labels: Tensor, background: int = 0
) -> Tensor:
    """dR/dz (items, classes) by the closed form, with the parameters of the reward.

    Raises:
        ValueError: an unknown reward, or one without a closed form.
    """
    reward = find(reward)
    name = reward.name.split("(")[0]
    if name not in CLOSED_FORMS:
        known = ", ".join(CLOSED_FORMS)
        raise ValueError(f"reward {reward.name!r} has no closed form here; those that do: {known}")
    return CLOSED_FORMS[name](logits, labels, background, **reward.parameters)


def autograd(reward: str | Reward, logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """dR/dz (items, classes) by PyTorch, in the type of the logits."""
    z = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(find(reward).function(z, labels, background), z)
    return gradient


def central_differences(
    f: Callable[[Tensor], Tensor | float], x: Tensor, step: float = STEP
) -> Tensor:
    """The gradient of f at x from values alone: (f(x + ε) - f(x - ε)) / 2ε for each entry of x.

    The error is about ε² f‴/6 + eps f/ε, with eps the machine epsilon; the default ε is its cube
    root in float64.

    Args:
        f: from a tensor in the shape of x to a number.
        x: of any shape.
        step: ε, above 0.

    Returns:
        df/dx in the shape and type of x.
    """
    gradient = torch.zeros_like(x)
    for index in itertools.product(*map(range, x.shape)):
        up = x.clone()
        up[index] += step
        down = x.clone()
        down[index] -= step
        gradient[index] = (f(up) - f(down)) / (2 * step)
    return gradient


def cross_entropy_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """dL_p/dz (items, classes) of the mean cross-entropy: (p - e_y) / N."""
    p = logits.softmax(-1)
    return (p - one_hot(labels, p)) / len(labels)


def objective_gradient(
    alpha: float, reward: str | Reward, logits: Tensor, labels: Tensor, background=0
) -> Tensor:
    """dL/dz (items, classes) of L = L_p + α (1 - R) in closed form."""
    by_reward = closed_form(reward, logits, labels, background)
    return combine(alpha, cross_entropy_gradient(logits, labels), -by_reward)


def relative_error(gradient: Tensor, reference: Tensor) -> float:
    """‖gradient - reference‖ / ‖reference‖, where a norm below `FLOOR` counts as `FLOOR`."""
    return float((gradient - reference).norm() / reference.norm().clamp_min(FLOOR))


def compare(
    reward: str | Reward, logits: Tensor, labels: Tensor, background=0, **gradients: Tensor
) -> list[dict]:
    """Compare dR/dz by every method with autograd in float64: one row per method.

    Args:
        gradients: more gradients to check, (items, classes) each, as in
            `compare("dice", z, y, mine=…)`, with the tolerance of a closed form.

    Returns:
        rows with "reward", "method", "largest difference", "relative error", "tolerance" and "ok".

    Raises:
        ValueError: a gradient of another shape than the logits.
    """
    reward = find(reward)
    z = logits.detach().double()
    reference = autograd(reward, z, labels, background)
    methods = {}
    if reward.name.split("(")[0] in CLOSED_FORMS:
        methods["closed form"] = closed_form(reward, z, labels, background)
    methods["central differences"] = central_differences(
        lambda z: reward.function(z, labels, background), z
    )
    rows = []
    for method, gradient in (methods | gradients).items():
        if gradient.shape != z.shape:
            expected = f"expected {tuple(z.shape)}, as the logits"
            raise ValueError(f"{method} has shape {tuple(gradient.shape)}; {expected}")
        tolerance = TOLERANCES.get(method, TOLERANCES["closed form"])
        error = relative_error(gradient, reference)
        row = {
            "reward": reward.name,
            "method": method,
            "largest difference": float((gradient - reference).abs().max()),
            "relative error": error,
            "tolerance": tolerance,
            "ok": error <= tolerance,  # NaN is not ok
        }
        rows.append(row)
    return rows


def table(logits: Tensor, labels: Tensor, background: int = 0) -> list[dict]:
    """The rows of `compare` for every registered reward that has a closed form."""
    return [
        row
        for name in CLOSED_FORMS
        if name in REWARDS
        for row in compare(name, logits, labels, background)
    ]
