"""Where the slope of a reward comes from: closed form, autograd and central differences, side by side.

The closed forms are worked out by hand and share no code with `rewards.py`, so that each can be held against the
other. Everywhere

    logits  (items, classes)  float
    labels  (items,)          int, 0 .. classes - 1

and a gradient is dR/dz, in the shape of the logits. L_r = 1 - R, so the gradient of the reward loss is minus that.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from .objective import combine
from .rewards import REWARDS, Reward, find

# Central differences lose eps/ε to rounding and ε² to the curve: smallest together near the cube root of eps.
STEP = torch.finfo(torch.float64).eps ** (1 / 3)  # 6e-6
TOLERANCES = {"closed form": 1e-9, "central differences": 1e-6}  # of the relative error against autograd
# eps/ε is 4e-11, so of a gradient smaller than this, central differences cannot give six digits.
FLOOR = 1e-4

CLOSED_FORMS: dict[str, Callable[..., Tensor]] = {}


def closed(function):
    """Put the function below in `CLOSED_FORMS` under its own name; parameters have the defaults of `rewards.py`."""
    CLOSED_FORMS[function.__name__] = function
    return function


def one_hot(labels: Tensor, y_hat: Tensor) -> Tensor:
    """Labels (items,) as 0 and 1, in the shape and type of ŷ (items, classes)."""
    return torch.nn.functional.one_hot(labels, y_hat.shape[-1]).to(y_hat.dtype)


def through_softmax(y_hat: Tensor, g: Tensor) -> Tensor:
    """From the slope g = dR/dŷ to dR/dz. The softmax has ∂ŷ_c/∂z_k = ŷ_c (δ_ck - ŷ_k), which gives

    dR/dz = ŷ ⊙ (g - Σ_c ŷ_c g_c): only what differs from the item's mean slope counts.
    """
    return y_hat * (g - (y_hat * g).sum(-1, keepdim=True))


def positives(logits: Tensor, labels: Tensor, background: int) -> tuple[Tensor, Tensor, Tensor]:
    """ŷ, y, and a row (classes,) with 0 at the background class and 1 elsewhere."""
    y_hat = logits.softmax(-1)
    findings = torch.ones(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    findings[background] = 0
    return y_hat, one_hot(labels, y_hat), findings


def divide(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole; 0 where nothing was counted (the part is 0 too)."""
    return part / whole.clamp_min(torch.finfo(whole.dtype).tiny)


@closed
def expected_accuracy(logits, labels, background=0):
    """dR/dz = p_y (e_y - p) / N: the slope of cross-entropy, times the probability of the right class."""
    return gce(logits, labels, background, q=1.0)


@closed
def gce(logits, labels, background=0, q=0.7):
    """dR/dz = p_y^q (e_y - p) / N. With q = 1 expected accuracy, with q to 0 cross-entropy (its sign turned)."""
    p = logits.softmax(-1)
    p_y = p.gather(-1, labels[:, None])
    return p_y**q * (one_hot(labels, p) - p) / len(labels)


@closed
def soft_f1(logits, labels, background=0):
    """dF̃/dŷ = (2y - F̃) / (Σy + Σŷ) on the positive classes: more ŷ pays where the label is 1."""
    return soft_fbeta(logits, labels, background, beta=1.0)


@closed
def soft_f1_macro(logits, labels, background=0):
    """The same for each class with its own F̃ and its own sums, divided by the number of classes in the mean."""
    return soft_fbeta(logits, labels, background, beta=1.0, average="macro")


@closed
def soft_fbeta(logits, labels, background=0, beta=2.0, average="micro"):
    """dF̃/dŷ = ((1 + β²) y - F̃) / (β² Σy + Σŷ) on the positive classes."""
    y_hat, y, findings = positives(logits, labels, background)
    true, predicted, actual = ((x * findings).sum(0) for x in (y_hat * y, y_hat, y))
    if average == "micro":
        true, predicted, actual = true.sum(), predicted.sum(), actual.sum()
        weight = findings
    else:
        present = (actual > 0).to(y.dtype)  # a class without a label takes no part in the mean
        weight = present / present.sum().clamp_min(1)
    total = beta**2 * actual + predicted
    f = divide((1 + beta**2) * true, total)
    return through_softmax(y_hat, weight * divide(findings * ((1 + beta**2) * y - f), total))


@closed
def tversky(logits, labels, background=0, a=0.3, b=0.7):
    """dT/dŷ = (y - T (y + a (1 - y) - b y)) / (TP + a FP + b FN): one more ŷ is TP or FP, and one FN less."""
    y_hat, y, findings = positives(logits, labels, background)
    tp, fp, fn = ((x * findings).sum() for x in (y_hat * y, y_hat * (1 - y), (1 - y_hat) * y))
    total = tp + a * fp + b * fn
    t = divide(tp, total)
    return through_softmax(y_hat, findings * divide(y - t * (y + a * (1 - y) - b * y), total))


@closed
def dice(logits, labels, background=0):
    """dD/dŷ = 2 (y - D ŷ) / (Σŷ² + Σy²): for y = 0 the push down fades as ŷ gets small."""
    y_hat, y, findings = positives(logits, labels, background)
    total = ((y_hat**2 + y**2) * findings).sum()
    d = divide(2 * (y_hat * y * findings).sum(), total)
    return through_softmax(y_hat, findings * divide(2 * (y - d * y_hat), total))


@closed
def soft_mcc(logits, labels, background=0):
    """With N items, n = Σŷ and t = Σy for each class, U = N² - Σn² and V = N² - Σt²:

    M = (N Σŷy - Σ n t) / √(U V), so dM/dŷ = (N y - t) / √(U V) + M n / U.
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
    """With σ_ij = σ((s_j - s_i)/τ), A_i = 1 + Σ_{j∈P} σ_ij and B_i = 1 + Σ_j σ_ij (both without j = i):

    R = mean of A_i / B_i over the positives, so dR/dσ_ij = (y_j / B_i - A_i / B_i²) / |P|, and a score s_j is in
    every σ_ij (up) and every σ_jk (down), each with the slope σ (1 - σ) / τ.
    """
    classes = logits.shape[-1]
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].masked_fill(itself, -math.inf)  # (items, class of the score, all other classes)
    scores = logits - others.logsumexp(-1)  # the log-odds of each class
    slope = torch.zeros_like(logits)  # dR/ds
    present = [c for c in range(classes) if c != background and (labels == c).any()]
    for c in present:
        y = (labels == c).to(logits.dtype)
        s = scores[:, c] / tau
        sigma = (s - s[:, None]).sigmoid().fill_diagonal_(0)
        a, b = 1 + sigma @ y, 1 + sigma.sum(1)
        by_sigma = y[:, None] * (y / b[:, None] - (a / b**2)[:, None]) / y.sum()
        by_pair = by_sigma * sigma * (1 - sigma) / tau  # 0 for j = i
        slope[:, c] = (by_pair.sum(0) - by_pair.sum(1)) / len(present)
    # ds_c/dz_k is 1 for k = c, and minus the share of k among the other classes for k ≠ c
    return slope - torch.einsum("ic,ick->ik", slope, others.softmax(-1))


def closed_form(reward: str | Reward, logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """dR/dz (items, classes) by the closed form, with the parameters that the reward was given by `having`.

    Raises:
        ValueError: the reward is not known, or it has no closed form here.
    """
    reward = find(reward)
    name = reward.name.split("(")[0]
    if name not in CLOSED_FORMS:
        raise ValueError(f"reward {reward.name!r} has no closed form here; those that do: {', '.join(CLOSED_FORMS)}")
    return CLOSED_FORMS[name](logits, labels, background, **reward.parameters)


def autograd(reward: str | Reward, logits: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """dR/dz (items, classes) by PyTorch, in the type of the logits."""
    z = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(find(reward).function(z, labels, background), z)
    return gradient


def central_differences(f: Callable[[Tensor], Tensor | float], x: Tensor, step: float = STEP) -> Tensor:
    """The gradient of f at x from values alone: (f(x + ε) - f(x - ε)) / 2ε for each entry in turn, with ε = `step`.

    The error is about ε² f‴/6 + eps f/ε, with eps the machine epsilon of x; the default step is its cube root in
    float64.

    Args:
        f: from a tensor in the shape of x to a number.
        x: of any shape.

    Returns:
        df/dx in the shape and type of x.
    """
    gradient = torch.zeros_like(x)
    for index in itertools.product(*map(range, x.shape)):
        up, down = x.clone(), x.clone()
        up[index] += step
        down[index] -= step
        gradient[index] = (f(up) - f(down)) / (2 * step)
    return gradient


def cross_entropy_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """dL_p/dz (items, classes) of the mean cross-entropy: (p - e_y) / N."""
    p = logits.softmax(-1)
    return (p - one_hot(labels, p)) / len(labels)


def objective_gradient(alpha: float, reward: str | Reward, logits: Tensor, labels: Tensor, background=0) -> Tensor:
    """dL/dz (items, classes) of L = L_p + α (1 - R), in closed form; with α = inf of the reward alone."""
    return combine(alpha, cross_entropy_gradient(logits, labels), -closed_form(reward, logits, labels, background))


def relative_error(gradient: Tensor, reference: Tensor) -> float:
    """|gradient - reference| / |reference|, both as lengths; a reference shorter than `FLOOR` counts as `FLOOR`."""
    return float((gradient - reference).norm() / reference.norm().clamp_min(FLOOR))


def compare(reward: str | Reward, logits: Tensor, labels: Tensor, background=0, **gradients: Tensor) -> list[dict]:
    """Every way to dR/dz against autograd, in float64: one row a method.

    Args:
        gradients: more of them to judge, (items, classes) each: `compare("dice", z, y, mine=…)`. They must be as good
            as a closed form.

    Returns:
        rows with "reward", "method", "largest difference", "relative error", "tolerance" and "ok".

    Raises:
        ValueError: a gradient of another shape than the logits.
    """
    reward, z, rows = find(reward), logits.detach().double(), []
    reference = autograd(reward, z, labels, background)
    found = {"central differences": central_differences(lambda z: reward.function(z, labels, background), z)}
    if reward.name.split("(")[0] in CLOSED_FORMS:
        found = {"closed form": closed_form(reward, z, labels, background)} | found
    for method, gradient in (found | gradients).items():
        if gradient.shape != z.shape:
            raise ValueError(f"{method} has shape {tuple(gradient.shape)}; expected {tuple(z.shape)}, as the logits")
        tolerance = TOLERANCES.get(method, TOLERANCES["closed form"])
        largest, error = float((gradient - reference).abs().max()), relative_error(gradient, reference)
        row = {"reward": reward.name, "method": method, "largest difference": largest, "relative error": error}
        rows.append(row | {"tolerance": tolerance, "ok": error <= tolerance})  # NaN is not ok
    return rows


def table(logits: Tensor, labels: Tensor, background: int = 0) -> list[dict]:
    """The rows of `compare` for every registered reward that has a closed form."""
    return [row for name in CLOSED_FORMS if name in REWARDS for row in compare(name, logits, labels, background)]
