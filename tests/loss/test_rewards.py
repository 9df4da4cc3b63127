"""Every registered reward: against scikit-learn where the answer is sure, central differences, and
closed forms.
"""

import inspect

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    fbeta_score,
    matthews_corrcoef,
)
from torch.nn.functional import one_hot

from rmlib.loss import rewards
from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS, Reward

DIFFERENTIABLE = sorted(name for name, reward in REWARDS.items() if not reward.sampled)
EVERY = pytest.mark.parametrize("name", DIFFERENTIABLE)
NAMES = "expected_accuracy gce soft_f1 soft_f1_macro soft_fbeta tversky dice soft_mcc smooth_ap"
NAMES += " accuracy f1 entity_f1"


def test_the_registry_holds_every_type():
    assert set(REWARDS) == set(NAMES.split())
    assert {name for name in REWARDS if REWARDS[name].sampled} == {"accuracy", "f1", "entity_f1"}


def batch(seed: int, items: int = 12, classes: int = 4, spread: float = 2.0):
    """Random logits in float64, and labels with at least one positive among them."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(items, classes, generator=random, dtype=torch.float64) * spread
    y = torch.randint(classes, (items,), generator=random)
    y[0] = 1
    return z, y


def value_and_gradient(name, z, y, background=0):
    z = z.clone().requires_grad_()
    r = REWARDS[name].function(z, y, background)
    (gradient,) = torch.autograd.grad(r, z)
    return r.detach(), gradient


def hard_metric(name: str, y, y_hat, classes: int) -> float:
    """The metric each reward stands for, by scikit-learn; class 0 is the background."""
    if name == "expected_accuracy":
        return accuracy_score(y, y_hat)
    if name == "gce":
        return 1 - (1 - accuracy_score(y, y_hat)) / 0.7
    if name == "soft_mcc":
        return matthews_corrcoef(y, y_hat)
    positive = list(range(1, classes))
    if name == "soft_fbeta":
        return fbeta_score(y, y_hat, beta=2, labels=positive, average="micro", zero_division=0)
    if name == "tversky":
        table = confusion_matrix(y, y_hat, labels=range(classes))[
            :, 1:
        ]  # FP and FN of the positive classes only
        tp, fp = table[1:].trace(), table.sum() - table[1:].trace()
        fn = (y > 0).sum() - tp
        return tp / (tp + 0.3 * fp + 0.7 * fn)
    if name in ("soft_f1", "dice"):
        return f1_score(y, y_hat, labels=positive, average="micro", zero_division=0)
    if name == "soft_f1_macro":
        present = [c for c in positive if c in y]
        return f1_score(y, y_hat, labels=present, average="macro", zero_division=0)
    pytest.fail(f"tell this test which metric of scikit-learn belongs to {name!r}")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_autograd_goes_through_every_term(name):
    """First and second derivatives against finite differences: no term is detached or
    differentiated by hand.
    """
    z, y = batch(5, items=6, classes=3)
    y[:3] = torch.tensor([0, 1, 2])
    z = z.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: REWARDS[name].function(z, y, 0), z)
    assert torch.autograd.gradgradcheck(lambda z: REWARDS[name].function(z, y, 0), z)


@pytest.mark.parametrize(
    "name", [name for name in DIFFERENTIABLE if name != "smooth_ap"]
)  # it needs a ranking
def test_sure_logits_score_as_scikit_learn_does(name):
    for seed in range(50):
        z, y = batch(seed, items=20, classes=5)
        y_hat = torch.randint(5, (20,), generator=torch.Generator().manual_seed(seed + 1000))
        y_hat = torch.where(
            torch.rand(20, generator=torch.Generator().manual_seed(seed)) < 0.6, y, y_hat
        )
        r = REWARDS[name].function(60.0 * one_hot(y_hat, 5).double(), y, 0)
        assert float(r) == pytest.approx(hard_metric(name, y.numpy(), y_hat.numpy(), 5), abs=1e-9)


def test_smooth_ap_tends_to_exact_average_precision():
    for seed in range(30):
        z, y = batch(seed, items=40, classes=4)
        p = z.softmax(-1).numpy()
        exact = np.mean(
            [average_precision_score(y.numpy() == c, p[:, c]) for c in (1, 2, 3) if c in y]
        )
        far, near = (float(rewards.smooth_ap(z, y, 0, tau=tau)) for tau in (1.0, 1e-7))
        assert near == pytest.approx(exact, abs=1e-9) and abs(far - exact) > abs(near - exact)
        s, y = z[:, 0], (y > 0).long()  # one logit per item: the score is the logit itself
        two = torch.stack([torch.zeros_like(s), s], -1)
        assert float(rewards.smooth_ap(two, y, 0, tau=1e-7)) == pytest.approx(
            average_precision_score(y, s), abs=1e-9
        )


def test_smooth_ap_is_its_formula():
    """Term by term, as Brown et al. print it, with log-odds from the definition."""
    z, y = batch(11, items=25, classes=3)
    p, sigma, values = z.softmax(-1).numpy(), lambda x: 1 / (1 + np.exp(-x)), []
    for c in (1, 2):
        s, positive = np.log(p[:, c] / (1 - p[:, c])), [i for i in range(25) if y[i] == c]
        for tau in (0.1, 0.7):
            terms = []
            for i in positive:
                above = sum(sigma((s[j] - s[i]) / tau) for j in positive if j != i)
                rest = sum(sigma((s[j] - s[i]) / tau) for j in range(25) if j not in positive)
                terms.append((1 + above) / (1 + above + rest))
            values.append((tau, np.mean(terms)))
    for tau in (0.1, 0.7):
        expected = np.mean([value for at, value in values if at == tau])
        assert float(rewards.smooth_ap(z, y, 0, tau=tau)) == pytest.approx(expected, abs=1e-12)


@EVERY
def test_range(name):
    reward = REWARDS[name]
    for seed in range(100):
        z, y = batch(seed, spread=10.0 ** (seed % 4 - 1))
        assert reward.lowest - 1e-12 <= float(reward.function(z, y, 0)) <= 1 + 1e-12
    right = 200.0 * one_hot(y, 4).double()
    assert float(reward.function(right, y, 0)) == pytest.approx(1, abs=1e-12)
    if name not in (
        "soft_mcc",
        "smooth_ap",
    ):  # the first reaches its end with two classes only; AP is never 0
        assert float(reward.function(-right, y, 0)) == pytest.approx(reward.lowest, abs=1e-12)


def test_the_worst_correlation_is_minus_one():
    y = torch.tensor([0, 1, 1, 0, 1])
    assert float(rewards.soft_mcc(200.0 * one_hot(1 - y, 2).double(), y)) == pytest.approx(
        -1, abs=1e-12
    )


@EVERY
def test_gradient_against_central_differences(name):
    function, step = REWARDS[name].function, 1e-5
    for seed in range(200):
        z, y = batch(seed, items=6, classes=3)
        _, gradient = value_and_gradient(name, z, y)
        numeric = torch.zeros_like(z)
        for i in range(z.numel()):
            there = torch.zeros(z.numel(), dtype=z.dtype)
            there[i] = step
            there = there.view_as(z)
            numeric.view(-1)[i] = (function(z + there, y, 0) - function(z - there, y, 0)) / (
                2 * step
            )
        assert (gradient - numeric).norm() <= 1e-6 * numeric.norm()


def test_expected_accuracy_closed_form():
    """d(mean p_y)/dz = -p_y (p - e_y) / N: cross-entropy's p - e_y, weighted by p_y."""
    for seed in range(50):
        z, y = batch(seed)
        p = z.softmax(-1)
        r, gradient = value_and_gradient("expected_accuracy", z, y)
        p_y = p[torch.arange(len(y)), y]
        assert abs(r - p_y.mean()) <= 1e-12
        expected = -p_y[:, None] * (p - one_hot(y, 4)) / len(y)
        assert (gradient - expected).abs().max() <= 1e-9


def closed_soft_f1(z, y, positive):
    """Soft F1 over `positive` classes and its slope, by dF/dŷ = (2y - F)/(Σy + Σŷ) and the
    softmax's Jacobian.
    """
    p, e = z.softmax(-1).numpy(), one_hot(y, z.shape[-1]).double().numpy()
    total = p[:, positive].sum() + e[:, positive].sum()
    f = 2 * (p * e)[:, positive].sum() / total
    slope = np.zeros_like(p)
    slope[:, positive] = (2 * e[:, positive] - f) / total
    return f, p * (slope - (p * slope).sum(1, keepdims=True))


def test_soft_f1_closed_forms():
    for seed in range(50):
        z, y = batch(seed, classes=5)
        r, gradient = value_and_gradient("soft_f1", z, y)
        f, slope = closed_soft_f1(z, y, [1, 2, 3, 4])
        assert abs(float(r) - f) <= 1e-12
        assert np.abs(gradient.numpy() - slope).max() <= 1e-9

        r, gradient = value_and_gradient("soft_f1_macro", z, y)
        single = [closed_soft_f1(z, y, [c]) for c in (1, 2, 3, 4) if c in y]
        assert abs(float(r) - np.mean([f for f, _ in single])) <= 1e-12
        assert (
            np.abs(gradient.numpy() - np.mean([slope for _, slope in single], axis=0)).max() <= 1e-9
        )


def test_soft_f1_pushes_up_exactly_above_half_of_it():
    """Lipton et al. 2014: with P(y=1) = q for one more item, more ŷ pays exactly where q > F/2."""
    z, y = batch(3, items=40, classes=2)
    f, _ = closed_soft_f1(z, y, [1])
    for q in (f / 2 - 0.01, f / 2 + 0.01):
        slope = 0.0
        for label, weight in ((1, q), (0, 1 - q)):
            more = torch.cat([z, torch.zeros(1, 2, dtype=z.dtype)])
            labels = torch.cat([y, torch.tensor([label])])
            # far from the batch's own F the added item moves F itself; hold it by repeating the
            # batch
            more, labels = torch.cat([more, z.repeat(500, 1)]), torch.cat([labels, y.repeat(500)])
            slope += weight * float(value_and_gradient("soft_f1", more, labels)[1][40, 1])
        assert (slope > 0) == (q > f / 2)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(name, dtype):
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        z = (torch.randint(0, 2, (8, 4), generator=random) * 200.0 - 100).to(dtype)
        y = torch.randint(0, 4, (8,), generator=random)
        r, gradient = value_and_gradient(name, z, y)
        assert r.isfinite() and gradient.isfinite().all()
        z.requires_grad_()
        loss = RewardObjective(3.0, name)(z, y)
        loss.total.backward()
        assert (
            all(term.isfinite() for term in loss)
            and z.grad.isfinite().all()
            and z.grad.dtype == dtype
        )


@EVERY
def test_background_alone(name):
    """No positive label: an F1 is 0 and gives no slope, whatever is predicted; accuracy goes on as
    ever.
    """
    z, _ = batch(0)
    for logits in (
        z,
        100 * one_hot(torch.zeros(12, dtype=torch.long), 4).double(),
        z - 1000 * torch.arange(4),
    ):
        r, gradient = value_and_gradient(name, logits, torch.zeros(12, dtype=torch.long))
        p = logits.softmax(-1)[:, 0]
        if name == "expected_accuracy":
            assert abs(r - p.mean()) <= 1e-12
        elif name == "gce":
            assert abs(r - (1 - (1 - p**0.7).mean() / 0.7)) <= 1e-12
        else:
            assert r == 0 and not gradient.any()


@EVERY
@pytest.mark.parametrize("items", [1, 12])
def test_positives_alone_and_one_item(name, items):
    z, _ = batch(1)
    z, y = z[:items], torch.full((items,), 2)
    p = z.softmax(-1).numpy()
    right, found, n = p[:, 2].sum(), p[:, 1:].sum(), items
    expected = {
        "expected_accuracy": right / n,
        "gce": 1 - (1 - p[:, 2] ** 0.7).mean() / 0.7,
        "soft_f1": 2 * right / (n + found),
        "soft_f1_macro": 2 * right / (n + right),
        "soft_fbeta": 5 * right / (4 * n + found),
        "tversky": right / (right + 0.3 * (found - right) + 0.7 * (n - right)),
        "dice": 2 * right / (n + (p[:, 1:] ** 2).sum()),
        "soft_mcc": 0,  # not defined: one class only
        "smooth_ap": 1,  # nothing can rank above a positive
    }
    r, gradient = value_and_gradient(name, z, y)
    assert float(r) == pytest.approx(expected[name])
    assert (
        (gradient[:, 2] > 0).all()
        or name in ("soft_mcc", "smooth_ap")
        and gradient.abs().max() < 1e-15
    )


def test_the_families_meet_where_they_should():
    z, y = batch(4, items=30)
    value = {name: REWARDS[name].function(z, y, 0) for name in DIFFERENTIABLE}
    assert (
        abs(REWARDS["gce"].with_parameters(q=1).function(z, y, 0) - value["expected_accuracy"])
        <= 1e-12
    )
    cross_entropy = torch.nn.functional.cross_entropy(z, y)
    assert abs(1 - REWARDS["gce"].with_parameters(q=1e-9).function(z, y, 0) - cross_entropy) <= 1e-7
    for same in (
        REWARDS["soft_fbeta"].with_parameters(beta=1),
        REWARDS["tversky"].with_parameters(a=0.5, b=0.5),
    ):
        assert abs(same.function(z, y, 0) - value["soft_f1"]) <= 1e-12
    fbeta = REWARDS["tversky"].with_parameters(a=1 / 5, b=4 / 5)  # F_β: b / a = β²
    assert abs(fbeta.function(z, y, 0) - value["soft_fbeta"]) <= 1e-12
    macro = REWARDS["soft_fbeta"].with_parameters(beta=1.0, average="macro")
    assert abs(macro.function(z, y, 0) - value["soft_f1_macro"]) <= 1e-12


def test_having_names_what_it_changes():
    half = REWARDS["soft_fbeta"].with_parameters(beta=0.5)
    assert (half.name, half.parameters) == ("soft_fbeta(beta=0.5)", {"beta": 0.5})
    assert half.with_parameters(average="macro").name == "soft_fbeta(beta=0.5, average='macro')"
    z, y = batch(2)
    assert RewardObjective(1.0, half)(z, y).reward == 1 - rewards.soft_fbeta(z, y, 0, beta=0.5)
    with pytest.raises(
        ValueError, match="'soft_fbeta' has no parameter 'gamma'; it has beta, average"
    ):
        REWARDS["soft_fbeta"].with_parameters(gamma=1)
    with pytest.raises(ValueError, match="'soft_f1' has no parameter 'beta'; it has none"):
        REWARDS["soft_f1"].with_parameters(beta=1)


@pytest.mark.parametrize(
    ("name", "parameters", "say"),
    [
        ("gce", {"q": 0}, "q is 0; expected a number above 0, up to 1"),
        ("gce", {"q": 1.5}, "q is 1.5"),
        ("soft_fbeta", {"beta": -1}, "beta is -1; expected a number of 0 or more"),
        ("soft_fbeta", {"average": "mean"}, "average is 'mean'; expected 'micro' or 'macro'"),
        ("tversky", {"a": -0.1}, "a, b is"),
        ("smooth_ap", {"tau": 0}, "tau is 0; expected a number above 0"),
    ],
)
def test_a_wrong_parameter_is_named(name, parameters, say):
    z, y = batch(0)
    with pytest.raises(ValueError, match=say):
        REWARDS[name].with_parameters(**parameters).function(z, y, 0)


@EVERY
def test_another_background_is_a_renaming(name):
    z, y = batch(5)
    renamed = torch.tensor([3, 0, 1, 2])  # the old class 0 is now class 3
    here, _ = value_and_gradient(name, z, y)
    there, _ = value_and_gradient(name, z[:, [1, 2, 3, 0]], renamed[y], background=3)
    assert abs(here - there) <= 1e-12


@EVERY
def test_splits_says_whether_a_batch_is_the_mean_of_its_parts(name):
    reward = REWARDS[name]
    z, y = batch(7, items=30)
    y[:20], y[25] = 0, 2
    whole = reward.function(z, y, 0)
    mean = (20 * reward.function(z[:20], y[:20], 0) + 10 * reward.function(z[20:], y[20:], 0)) / 30
    assert (abs(whole - mean) <= 1e-12) == reward.splits


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_each_entry_says_what_it_is(name):
    reward = REWARDS[name]
    assert (
        reward.name == name
        and reward.formula
        and reward.reference[-1] != "."
        and inspect.getdoc(reward.function)
    )
    assert set(reward.levels) <= {"binary", "classes", "tokens"}


def test_find_names_the_nearest_choice():
    with pytest.raises(
        ValueError, match=r"reward 'f2' is not known; did you mean 'f1'.* known: accuracy, dice"
    ):
        rewards.find("f2")
    with pytest.raises(ValueError, match="reward 7 is not known"):
        rewards.find(7)


def test_a_new_reward_is_one_function_and_one_line():
    try:

        @rewards.register("always_half", formula="1/2", reference="none")
        def always_half(logits, labels, background=0):
            return logits.sum() * 0 + 0.5

        z, y = batch(0)
        assert RewardObjective(1.0, "always_half")(z, y).reward == 0.5
    finally:
        del REWARDS["always_half"]
    own = Reward("own", always_half, "1/2", "none")
    assert RewardObjective(1.0, own)(z, y).reward == 0.5
