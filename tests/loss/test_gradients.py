"""Each reward by its closed form, by autograd and by central differences, and wrong ones are
caught.
"""

import math
from functools import partial

import pytest
import torch

from rmlib.loss import gradients
from rmlib.loss.derivation import DerivationStep, steps
from rmlib.loss.gradients import CLOSED_FORMS, autograd, central_differences, closed_form, compare
from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS, Reward

EVERY = pytest.mark.parametrize("name", sorted(CLOSED_FORMS))
OTHERS = [("gce", {"q": 0.2}), ("soft_fbeta", {"beta": 0.5}), ("soft_fbeta", {"average": "macro"})]
OTHERS += [("tversky", {"a": 0.9, "b": 0.1}), ("smooth_ap", {"tau": 0.5}), ("gce", {"q": 1.0})]


def batch(seed: int, items: int = 6, classes: int = 3, spread: float = 2.0):
    """Random logits in float64, and labels with at least one positive among them."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(items, classes, generator=random, dtype=torch.float64) * spread
    y = torch.randint(classes, (items,), generator=random)
    y[0] = 1
    return z, y


def errors(rows) -> dict[str, float]:
    return {row["method"]: row["relative error"] for row in rows}


def test_every_reward_with_a_gradient_has_a_closed_form():
    assert set(CLOSED_FORMS) == {name for name, reward in REWARDS.items() if not reward.sampled}


@EVERY
def test_three_ways_agree_on_200_batches(name):
    for seed in range(200):
        rows = compare(name, *batch(seed))
        assert [row["method"] for row in rows] == ["closed form", "central differences"]
        assert all(row["ok"] for row in rows), (seed, rows)
        found = errors(rows)
        assert found["closed form"] <= 1e-9 and found["central differences"] <= 1e-6


@pytest.mark.parametrize(("name", "parameters"), OTHERS)
def test_parameters_and_backgrounds(name, parameters):
    reward = REWARDS[name].with_parameters(**parameters)
    for seed in range(30):
        z, y = batch(seed, items=8, classes=4)
        rows = compare(reward, z, y, background=seed % 4)
        assert all(row["ok"] and row["reward"] == reward.name for row in rows), rows
        away = autograd(reward, z, y) - autograd(name, z, y)
        assert (
            away.abs().max() > 1e-6
        )  # the parameter does change the gradient, so the check above says something
    assert torch.equal(closed_form(reward, z, y), CLOSED_FORMS[name](z, y, 0, **parameters))


@EVERY
def test_batches_at_the_edge(name):
    """One item, positives alone, background alone, two classes: all three still agree, and nothing
    is NaN.
    """
    z, _ = batch(3, items=5)
    for labels in ([1] * 5, [0] * 5, [2, 0, 0, 0, 0], [2] * 5):
        assert all(row["ok"] for row in compare(name, z, torch.tensor(labels))), labels
    assert all(row["ok"] for row in compare(name, z[:1], torch.tensor([1])))
    for seed in range(20):  # one logit an item is the pair (0, z)
        z, y = batch(seed, classes=2)
        assert all(row["ok"] for row in compare(name, torch.stack([0 * z[:, 1], z[:, 1]], -1), y))
    if name not in ("expected_accuracy", "gce", "soft_mcc"):
        assert not closed_form(name, z, torch.zeros_like(y)).any()  # no positive label, no slope


@EVERY
def test_closed_forms_stay_finite(name):
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        z = torch.randint(0, 2, (8, 4), generator=random).double() * 200 - 100
        assert closed_form(name, z, torch.randint(0, 4, (8,), generator=random)).isfinite().all()


# Gradients that are wrong in the ways people get them wrong. compare() has to refuse each of them.


def without_jacobian(reward, z, y):
    """dR/dŷ handed over as dR/dz."""
    y_hat = z.softmax(-1)
    return autograd(
        Reward("plain", lambda p, y, b: reward.function(p.log(), y, b), "", ""), y_hat, y
    )


WRONG = {
    "turned": lambda reward, z, y: -autograd(reward, z, y),
    "of_L_r_over_2": lambda reward, z, y: autograd(reward, z, y) / 2,
    "sum_not_mean": lambda reward, z, y: autograd(reward, z, y) * len(y),
    "one_part_in_a_million": lambda reward, z, y: autograd(reward, z, y) * (1 + 1e-6),
    "no_jacobian": without_jacobian,
    "shifted": lambda reward, z, y: autograd(reward, z, y) + 1e-6,
    "one_entry": lambda reward, z, y: autograd(reward, z, y).index_put(
        (torch.tensor(2), torch.tensor(1)), torch.ones(()).double()
    ),
    "nan": lambda reward, z, y: autograd(reward, z, y) * math.nan,
    "in_float32": lambda reward, z, y: autograd(reward, z.float(), y).double(),
}


@EVERY
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_is_refused(name, wrong):
    reward = REWARDS[name]
    for seed in range(5):
        z, y = batch(seed, spread=1.0)
        rows = compare(
            name, z, y, **{wrong: WRONG[wrong](reward, z, y)}, right=autograd(name, z, y)
        )
        assert {row["method"]: row["ok"] for row in rows} == {
            "closed form": True,
            "central differences": True,
            wrong: False,
            "right": True,
        }


@pytest.mark.parametrize(
    ("name", "other"), [("soft_f1", "soft_f1_macro"), ("soft_f1", "dice"), ("gce", "soft_mcc")]
)
def test_a_closed_form_of_another_reward_is_refused(name, other, monkeypatch):
    monkeypatch.setitem(CLOSED_FORMS, name, CLOSED_FORMS[other])
    for seed in range(5):
        closed, central = compare(name, *batch(seed))
        assert not closed["ok"] and central["ok"]


def test_an_autograd_that_is_cut_is_seen():
    """The commonest fault in a reward: a part of it taken out of the graph. Central differences
    notice.
    """

    def cut(logits, labels, background):
        p = logits.softmax(-1)
        y = torch.nn.functional.one_hot(labels, logits.shape[-1])[:, 1:]
        return 2 * (p[:, 1:] * y).sum() / (p[:, 1:].sum().detach() + y.sum())

    (row,) = compare(Reward("cut", cut, "", ""), *batch(0))
    assert row["method"] == "central differences" and not row["ok"]


def test_central_differences_have_the_error_they_should():
    z, y = batch(0)
    for step in (1e-1, 1e-2):  # ((z + ε)³ - (z - ε)³) / 2ε = 3z² + ε², exactly
        assert (
            central_differences(lambda z: (z**3).sum(), z, step) - (3 * z**2 + step**2)
        ).abs().max() <= 1e-11
    assert abs(gradients.STEP - 2 ** (-52 / 3)) <= 1e-12
    found = central_differences(lambda z: REWARDS["soft_f1"].function(z, y, 0), z)
    assert found.shape == z.shape and (found - autograd("soft_f1", z, y)).abs().max() <= 1e-9
    assert (
        central_differences(lambda x: float(x) ** 2, torch.tensor(3.0), 0.5).item() == 6.0
    )  # any shape, any number


@EVERY
def test_objective(name):
    for alpha in (0.0, 0.3, 10.0, math.inf):
        for seed in range(20):
            z, y = batch(seed)
            z.requires_grad_()
            RewardObjective(alpha, name)(z, y).total.backward()
            found = gradients.objective_gradient(alpha, name, z.detach(), y)
            assert (found - z.grad).abs().max() <= 1e-9 * max(1, min(alpha, 100))
    z, y = batch(0)
    cross_entropy = torch.autograd.functional.jacobian(
        lambda z: torch.nn.functional.cross_entropy(z, y), z
    )
    assert (gradients.cross_entropy_gradient(z, y) - cross_entropy).abs().max() <= 1e-12


def test_expected_accuracy_re_weights():
    """Item by item, α (1 - R) beside cross-entropy is cross-entropy with the weight 1 + α p_y."""
    z, y = batch(8)
    p_y = z.softmax(-1).gather(-1, y[:, None])
    both = gradients.objective_gradient(3.0, "expected_accuracy", z, y)
    assert (both - (1 + 3 * p_y) * gradients.cross_entropy_gradient(z, y)).abs().max() <= 1e-12


def test_table_has_every_closed_form():
    rows = gradients.table(*batch(0, items=12, classes=4))
    assert [row["reward"] for row in rows[::2]] == list(CLOSED_FORMS) and len(rows) == 2 * len(
        CLOSED_FORMS
    )
    assert all(row["ok"] for row in rows)
    assert {row["tolerance"] for row in rows} == {1e-9, 1e-6}


def test_mistakes_are_told():
    z, y = batch(0)
    with pytest.raises(
        ValueError, match="reward 'accuracy' has no closed form here; those that do: expected_acc"
    ):
        closed_form("accuracy", z, y)
    with pytest.raises(ValueError, match="did you mean 'dice'"):
        autograd("dicee", z, y)
    with pytest.raises(
        ValueError, match=r"mine has shape \(6,\); expected \(6, 3\), as the logits"
    ):
        compare("dice", z, y, mine=z[:, 0])
    with pytest.raises(TypeError, match="gamma"):
        closed_form(
            Reward(
                "dice", partial(REWARDS["dice"].function, gamma=1), "", "", parameters={"gamma": 1}
            ),
            z,
            y,
        )


# The derivation in SymPy.


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.text)
def test_each_step_holds(step):
    assert step.holds()
    assert "left(z" not in step.latex and " = " in step.latex


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.text)
def test_a_wrong_step_does_not_hold(step):
    assert not DerivationStep(step.text, step.left, step.right + 1, step.given).holds()
    if step.right != 0:
        assert not DerivationStep(step.text, step.left, -step.right, step.given).holds()


def number(step: DerivationStep, values: dict) -> float:
    """The right-hand side of a step with numbers for the symbols."""
    right = step.right
    for function, meaning in step.given.items():
        right = right.subs(function, meaning)
    return float(right.subs({symbol: values[symbol.name] for symbol in right.free_symbols}))


@pytest.mark.parametrize("y", [0, 1])
def test_each_step_against_autograd(y):
    """One item beside three others; what autograd finds for its logit is what the formulas say."""
    found = {step.text: step for step in steps()}
    labels = torch.tensor([y, 1, 0, 1])
    rest = torch.tensor([0.4, -1.0, 2.0], dtype=torch.float64)
    others = rest.sigmoid()
    for at in (-3.0, -0.2, 1.5):
        z = torch.tensor(at, dtype=torch.float64, requires_grad=True)
        values = {"z": at, "y": y, "alpha": 2.5, r"\hat{y}": float(z.detach().sigmoid())}
        values |= {"A": float(others[0] + others[2]), "B": float(2 + others.sum())}

        def slope(value, z=z):
            return pytest.approx(float(torch.autograd.grad(value, z)[0]), abs=1e-12)

        single = RewardObjective(2.5, "expected_accuracy")(z[None], labels[:1])
        assert number(found["the sigmoid"], values) == slope(z.sigmoid())
        assert number(found["both"], values) == slope(single.total)
        single = RewardObjective(2.5, "expected_accuracy")(z[None], labels[:1])
        assert number(found["cross-entropy alone"], values) == slope(single.prediction)
        single = RewardObjective(2.5, "expected_accuracy")(z[None], labels[:1])
        assert number(found["1 - R of expected accuracy"], values) == slope(single.reward)
        whole = RewardObjective(1.0, "soft_f1")(torch.cat([z[None], rest]), labels)
        assert -number(found["soft F1, to the logit"], values) == slope(whole.reward)
        y_hat = z.sigmoid().detach()
        to_y_hat = number(found["soft F1"], values)
        assert to_y_hat * float(y_hat * (1 - y_hat)) == pytest.approx(
            number(found["soft F1, to the logit"], values)
        )


def test_the_threshold_is_half_of_soft_f1():
    """Lipton et al. 2014, on a batch so large that one item hardly moves F̃: up exactly where P(y =
    1) > F̃/2.
    """
    z, y = batch(2, items=3000, classes=2)
    f = float(REWARDS["soft_f1"].function(z, y, 0))
    labels = {label: torch.cat([torch.tensor([label]), y]) for label in (0, 1)}
    z = torch.cat([torch.zeros(1, 2, dtype=z.dtype), z])
    up = {label: float(closed_form("soft_f1", z, labels[label])[0, 1]) for label in (0, 1)}
    for rho in (f / 2 - 0.01, f / 2 + 0.01):
        assert (rho * up[1] + (1 - rho) * up[0] > 0) == (rho > f / 2)
    mean = next(step for step in steps() if "ρ" in step.text)
    for rho in (0.1, 0.9):
        assert (number(mean, {"rho": rho, r"\tilde{F}": f, "S": 1.0}) > 0) == (rho > f / 2)
