"""Each erratum in numbers: the printed formula fails a check that its repair passes."""

import itertools
import math

import numpy as np
import pytest
import sympy
import torch
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from rmlib.loss import article
from rmlib.loss.article import ERRATA, stop
from rmlib.loss.rewards import REWARDS

EVERY = pytest.mark.parametrize("fault", ERRATA.values(), ids=list(ERRATA))
SEEDS = range(50)


def batch(seed: int, items: int = 12):
    """Logits in float64 and labels as floats, both labels among them."""
    random = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(items, generator=random, dtype=torch.float64)
    y = torch.randint(2, (items,), generator=random).double()
    y[0], y[1] = 1, 0
    return z, y


def slope(function, z, y):
    """d function / dz by autograd."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(function(z.sigmoid(), y), z)[0]


def central(function, z, y, step=1e-6):
    """d function / dz by central differences."""
    steps = step * torch.eye(len(z), dtype=z.dtype)
    return torch.stack(
        [
            (function((z + s).sigmoid(), y) - function((z - s).sigmoid(), y)) / (2 * step)
            for s in steps
        ]
    )


# --- The data about the faults --------------------------------------------------------------------


def test_the_list_is_complete_and_in_order():
    assert list(ERRATA) == [f"E{i}" for i in range(1, 8)]
    assert all(fault.id == name for name, fault in ERRATA.items())


@EVERY
def test_texts_say_something_and_functions_say_what_they_take(fault):
    assert fault.title and fault.where[0] in "34" and fault.verdict.endswith(".")
    assert 40 < len(fault.verdict) < 300
    assert f"$${fault.printed}$$" in fault.before and fault.id in fault.before
    assert fault.repair not in fault.before  # the question does not give the answer away
    assert fault.verdict in fault.after and f"$${fault.repair}$$" in fault.after
    assert fault.id in fault.as_printed.__doc__ and "printed" in fault.as_printed.__doc__
    assert fault.id in fault.repaired.__doc__ and "repaired" in fault.repaired.__doc__
    assert "0x" not in repr(fault)  # stored in a notebook, it has to be the same in every run


@EVERY
@pytest.mark.parametrize("which", ["printed", "repair"])
def test_formulas_render(fault, which):
    figure = Figure()
    figure.text(0, 0, f"${getattr(fault, which)}$")
    figure.canvas.draw()  # raises where mathtext cannot read the formula


@EVERY
def test_functions_take_int_labels_and_single_precision(fault):
    z, y = batch(0)
    for function in (fault.as_printed, fault.repaired):
        here, there = function(z.sigmoid(), y.long()), function(z.sigmoid().float(), y)
        for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (here, there)), strict=True):
            torch.testing.assert_close(a, b.double(), atol=1e-6, rtol=1e-5)


# --- E1 -------------------------------------------------------------------------------------------


def test_e1_printed_pushes_every_logit_up():
    """Derived from the printed formula by SymPy: slope -(1 - ŷ) where y = 1 and -ŷ where y = 0."""
    zs, ys = sympy.symbols("z y", real=True)
    p = 1 / (1 + sympy.exp(-zs))
    derived = sympy.diff(-ys * sympy.log(p) + (1 - ys) * sympy.log(1 - p), zs)
    assert (
        sympy.simplify(derived.subs(ys, 1) + 1 - p) == 0
        and sympy.simplify(derived.subs(ys, 0) + p) == 0
    )
    for seed in SEEDS:
        z, y = batch(seed)
        found = slope(ERRATA["E1"].as_printed, z, y)
        expected = torch.where(y == 1, z.sigmoid() - 1, -z.sigmoid()) / len(z)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        assert (found < 0).all()  # a step downhill raises every logit


def test_e1_printed_has_no_floor_and_the_repair_is_pytorchs():
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    falls = [float(ERRATA["E1"].as_printed(one - 10.0**-k, none)) for k in (1, 4, 8, 12)]
    assert falls == pytest.approx([-k * math.log(10) for k in (1, 4, 8, 12)], rel=1e-4)
    for seed in SEEDS:
        z, y = batch(seed)
        expected = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        assert float(ERRATA["E1"].repaired(z.sigmoid(), y)) == pytest.approx(
            float(expected), rel=1e-12
        )
        assert float(ERRATA["E1"].as_printed(z.sigmoid(), y)) != pytest.approx(
            float(expected), rel=1e-3
        )
        torch.testing.assert_close(slope(ERRATA["E1"].repaired, z, y), (z.sigmoid() - y) / len(z))


# --- E2 -------------------------------------------------------------------------------------------


def test_e2_printed_scores_of_single_items():
    def each(y_hat, y):
        return (
            ERRATA["E2"]
            .as_printed(torch.tensor([y_hat]).double(), torch.tensor([y]).double())
            .item()
        )

    assert each(1, 1) == pytest.approx(2 / 3) and each(0, 1) == 0  # the best and the worst positive
    assert all(each(y_hat, 0) == 0 for y_hat in (0.0, 0.3, 0.999, 1.0))
    z, y = batch(0)
    found = slope(lambda y_hat, y: ERRATA["E2"].as_printed(y_hat, y).sum(), z, y)
    assert not found[y == 0].any() and (found[y == 1] > 0).all()
    assert (
        slope(ERRATA["E2"].repaired, z, y)[y == 0] < 0
    ).all()  # the repair pushes negatives down


def test_e2_sure_answers_score_as_scikit_learn_does_only_after_the_repair():
    apart = 0
    for seed in SEEDS:
        (_, y), (z, _) = batch(seed), batch(seed + 1000)
        sure = (z > 0).double()
        expected = f1_score(y.numpy(), sure.numpy(), zero_division=0)
        assert float(ERRATA["E2"].repaired(sure, y)) == pytest.approx(expected, abs=1e-12)
        apart += abs(float(ERRATA["E2"].as_printed(sure, y).mean()) - expected) > 0.01
    assert apart == len(SEEDS)


def test_e2_printed_prefers_a_model_that_always_says_yes():
    y = torch.tensor([1.0] * 3 + [0.0] * 7)
    always, careful = torch.ones(10), torch.tensor([0.9] * 3 + [0.0] * 7)
    assert ERRATA["E2"].as_printed(always, y).mean() > ERRATA["E2"].as_printed(careful, y).mean()
    assert ERRATA["E2"].repaired(always, y) < ERRATA["E2"].repaired(careful, y)


# --- E3 and its two repairs -----------------------------------------------------------------------


def test_e3_printed_is_zero_in_value_and_slope_for_every_model():
    for seed in SEEDS:
        z, y = batch(seed)
        assert abs(float(ERRATA["E3"].as_printed(z.sigmoid(), y))) < 1e-15
        assert slope(ERRATA["E3"].as_printed, z, y).abs().max() < 1e-15
        assert central(ERRATA["E3"].as_printed, z, y).abs().max() < 1e-9
        assert slope(ERRATA["E3"].repaired, z, y).abs().max() > 1e-3


def test_e3_is_zero_in_symbols_for_any_reward():
    rewards = sympy.symbols("R1:6")
    mean = sympy.Add(*rewards) / 5
    assert sympy.simplify(sympy.Add(*(r - mean for r in rewards)) / 5) == 0


def test_e3_alpha_changes_nothing_as_printed():
    """One step of training on L_p + α·L_r ends at the same θ for α = 0 and α = 1000; the repair's
    does not.
    """
    features = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, y = batch(1)
    for formula, moves in ((ERRATA["E3"].as_printed, False), (ERRATA["E3"].repaired, True)):
        ends = []
        for alpha in (0, 1000):
            theta = torch.full((3,), 0.3, dtype=torch.float64, requires_grad=True)
            y_hat = (features @ theta).sigmoid()
            (ERRATA["E1"].repaired(y_hat, y) + alpha * formula(y_hat, y)).backward()
            ends.append(theta.detach() - 0.1 * theta.grad)
        assert (float((ends[0] - ends[1]).abs().max()) > 1e-3) == moves
        assert moves or float((ends[0] - ends[1]).abs().max()) < 1e-12


def test_e3_way_a_against_closed_form_and_central_differences():
    """1 - F̃ has dF̃/dŷ = (2y - F̃) / (Σy + Σŷ), times ŷ(1 - ŷ) for the logit."""
    for seed in SEEDS:
        z, y = batch(seed)
        p = z.sigmoid().numpy()
        f = 2 * p[y == 1].sum() / (p.sum() + y.numpy().sum())
        expected = -(2 * y.numpy() - f) / (p.sum() + y.numpy().sum()) * p * (1 - p)
        found = slope(ERRATA["E3"].repaired, z, y)
        assert float(ERRATA["E3"].repaired(z.sigmoid(), y)) == pytest.approx(1 - f, rel=1e-12)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found, central(ERRATA["E3"].repaired, z, y), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize(
    "baseline, share", [("none", 1), ("constant", 1), ("leave one out", 1), ("mean", 3 / 4)]
)
def test_e3_way_b_has_the_right_expected_gradient(baseline, share):
    """Every labelling of 4 items, weighted by its probability; the mean with the item itself in it
    shrinks by 1/N.
    """
    z, y = batch(5, items=4)
    z.requires_grad_()
    y_hat = z.sigmoid()
    expected_gradient = torch.zeros(4, dtype=torch.float64)
    for labelling in itertools.product((0.0, 1.0), repeat=4):
        drawn = torch.tensor(labelling, dtype=torch.float64)
        probability = float(torch.where(drawn == 1, y_hat, 1 - y_hat).prod().detach())
        R = (drawn == y).double()
        b = {
            "none": 0.0,
            "constant": 0.7,
            "leave one out": article.leave_one_out(R),
            "mean": R.mean(),
        }[baseline]
        loss = article.score_function_loss(y_hat, drawn, R, b)
        expected_gradient += probability * torch.autograd.grad(loss, z, retain_graph=True)[0]
    p = y_hat.detach()
    exact = (
        -torch.where(y == 1, 1.0, -1.0) * p * (1 - p) / 4
    )  # of minus the mean probability of the right label
    torch.testing.assert_close(expected_gradient, share * exact, rtol=1e-10, atol=1e-14)


def test_e3_way_b_holds_reward_and_baseline_constant():
    z, y = batch(2)
    R = torch.linspace(-1, 1, 12, dtype=torch.float64)
    fixed = slope(lambda y_hat, y: article.score_function_loss(y_hat, y, R, 0.2), z, y)
    moving = slope(
        lambda y_hat, y: article.score_function_loss(y_hat, y, R + y_hat - stop(y_hat), 0.2), z, y
    )
    torch.testing.assert_close(fixed, moving)


def test_leave_one_out_needs_others():
    assert article.leave_one_out(torch.tensor([1.0, 0.0, 0.5])).tolist() == [0.25, 0.75, 0.5]
    with pytest.raises(ValueError, match="R has 1 items; expected at least 2"):
        article.leave_one_out(torch.ones(1))


# --- E4 -------------------------------------------------------------------------------------------


def test_e4_a_step_downhill_lowers_the_reward_until_the_sign_is_turned():
    def mean_reward(z):  # by hand: 2ŷ / (2ŷ + 1) of the positives, 0 of the negatives
        p = z.sigmoid()[y == 1]
        return float((2 * p / (2 * p + 1)).sum() / len(y))

    for seed in SEEDS:
        z, y = batch(seed)
        before = mean_reward(z)
        assert mean_reward(z - slope(ERRATA["E4"].as_printed, z, y)) < before - 1e-5
        assert mean_reward(z - slope(ERRATA["E4"].repaired, z, y)) > before + 1e-5


# --- E5 -------------------------------------------------------------------------------------------


def test_e5_equality_of_a_probability_never_happens_and_thresholds_have_no_slope():
    for seed in SEEDS:
        z, y = batch(seed)
        assert ERRATA["E5"].as_printed(z.sigmoid(), y) == 0
        accuracy = accuracy_score(y.numpy(), (z > 0).numpy())
        assert float(article.threshold_accuracy(z.sigmoid(), y)) == pytest.approx(
            accuracy, abs=1e-12
        )
        for flat in (ERRATA["E5"].as_printed, article.threshold_accuracy):
            assert not central(flat, z, y).any()
            assert not flat(z.clone().requires_grad_().sigmoid(), y).requires_grad
        assert (
            central(ERRATA["E5"].repaired, z, y) * (2 * y - 1) > 0
        ).all()  # towards the label, at every item


def test_e5_the_repair_is_the_accuracy_to_expect():
    """By enumeration of all labellings of 6 items; at sure answers it is the accuracy itself."""
    for seed in range(5):
        z, y = batch(seed, items=6)
        p, expected = z.sigmoid().numpy(), 0.0
        for drawn in itertools.product((0, 1), repeat=6):
            probability = np.prod([p[i] if a else 1 - p[i] for i, a in enumerate(drawn)])
            expected += probability * accuracy_score(y.numpy(), drawn)
        assert float(ERRATA["E5"].repaired(z.sigmoid(), y)) == pytest.approx(expected, rel=1e-10)
        sure = (z > 0).double()
        assert float(ERRATA["E5"].repaired(sure, y)) == pytest.approx(
            accuracy_score(y.numpy(), sure.numpy())
        )


# --- E6 -------------------------------------------------------------------------------------------


def test_e6_the_repair_is_scikit_learns_average_precision_ties_included():
    for seed in SEEDS:
        z, y = batch(seed, items=20)
        for scores in (z.sigmoid(), (3 * z.sigmoid()).round() / 4 + 0.1, torch.full_like(z, 0.5)):
            expected = average_precision_score(y.numpy(), scores.numpy())
            assert float(ERRATA["E6"].repaired(scores, y)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="y has no label 1; expected at least one"):
        article.average_precision(torch.rand(3), torch.zeros(3))


def test_e6_printed_is_no_ranking_measure():
    for seed in SEEDS:
        z, y = batch(seed)
        p = z.sigmoid()
        rescaled = p**3  # the same order
        assert float(ERRATA["E6"].repaired(rescaled, y)) == pytest.approx(
            float(ERRATA["E6"].repaired(p, y)), abs=1e-15
        )
        assert (
            float(ERRATA["E6"].as_printed(rescaled, y))
            < float(ERRATA["E6"].as_printed(p, y)) - 1e-3
        )
    y = torch.tensor([1.0, 1.0, 0.0, 0.0])
    first, last = (
        torch.tensor([0.8, 0.7, 0.3, 0.2]),
        torch.tensor([0.8, 0.7, 0.95, 0.9]),
    )  # the negatives on top
    assert ERRATA["E6"].as_printed(first, y) == ERRATA["E6"].as_printed(last, y)
    assert float(ERRATA["E6"].repaired(first, y)) == pytest.approx(1)
    assert float(ERRATA["E6"].repaired(last, y)) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_e6_smooth_ap_tends_to_the_exact_one_and_has_a_slope():
    sharp = REWARDS["smooth_ap"].with_parameters(tau=1e-7)
    for seed in SEEDS:
        z, y = batch(seed)
        logits = torch.stack([torch.zeros_like(z), z], -1)
        smooth = sharp.function(logits, y.long(), 0)
        assert float(smooth) == pytest.approx(
            float(ERRATA["E6"].repaired(z.sigmoid(), y)), abs=1e-6
        )
    logits.requires_grad_()
    REWARDS["smooth_ap"].function(logits, y.long(), 0).backward()
    assert logits.grad.abs().max() > 1e-3


# --- E7 -------------------------------------------------------------------------------------------


def test_e7_one_name_stands_for_different_numbers():
    z, y = batch(3)
    of_4_1, of_4_2 = ERRATA["E7"].as_printed(z.sigmoid(), y)
    assert of_4_1.shape == (12,) and of_4_2.shape == ()
    assert not torch.allclose(of_4_1, of_4_2.expand(12))
    R, b = ERRATA["E7"].repaired(z.sigmoid(), y)
    assert R.shape == b.shape == (12,)
    for i in range(12):
        others = [float(R[j]) for j in range(12) if j != i]
        assert float(b[i]) == pytest.approx(sum(others) / 11)
