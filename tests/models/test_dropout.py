"""Dropout: share, scale, gradient and seed, by counting."""

import pytest
import torch
from torch import nn

from rmlib.models.dropout import Dropout, dropout, use_fast_dropout
from rmlib.models.encoder import new_tagger


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 1001), (1, 3), (7,), (2, 3, 5)])
def test_elements_are_dropped_or_scaled(p, shape):
    torch.manual_seed(0)
    dropped = dropout(torch.full(shape, 3.0), p)
    assert dropped.shape == shape
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)))


@pytest.mark.parametrize("p", [0.0001, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped(p):
    """Within five standard errors of p, also among four that share a number; independent."""
    torch.manual_seed(1)
    n = 2_000_000
    zero = (dropout(torch.ones(n), p) == 0).double().view(-1, 4)
    error = 5 * (p * (1 - p) / (n / 4)) ** 0.5 + 1 / 65_536
    assert ((zero.mean(0) - p).abs() < error).all()
    together = (zero[:, :3] * zero[:, 1:]).mean(0)
    assert ((together - p * p).abs() < error).all()


def test_the_gradient_is_0_where_the_value_is():
    torch.manual_seed(2)
    x = torch.randn(50, 50, dtype=torch.float64, requires_grad=True)
    dropped = dropout(x, 0.3)
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    assert torch.equal(gradient == 0, dropped == 0)
    kept = gradient[gradient != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 0.7))


def test_the_seed_of_torch_decides():
    def draw(seed):
        torch.manual_seed(seed)
        return dropout(torch.ones(1000), 0.5)

    assert draw(1).equal(draw(1)) and not draw(1).equal(draw(2))


def test_nothing_happens_outside_of_training_or_with_p_0():
    x = torch.randn(10)
    assert dropout(x, 0.5, training=False).equal(x) and dropout(x, 0.0).equal(x)
    assert Dropout(0.5).eval()(x).equal(x)


def test_a_model_keeps_its_p_and_its_weights():
    model = nn.Sequential(
        nn.Linear(3, 3), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.4)), nn.Dropout1d(0.3)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    use_fast_dropout(model)
    assert type(model[1]) is Dropout and model[1].p == 0.2
    assert type(model[2][0]) is Dropout and model[2][0].p == 0.4
    assert type(model[3]) is nn.Dropout1d  # drops whole channels: another thing
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    torch.manual_seed(0)
    assert (model[1](torch.ones(1000)) == 0).float().mean() == pytest.approx(0.2, abs=0.06)


def test_a_loaded_encoder_has_its_dropout_off_until_it_is_trained(tiny):
    model = new_tagger(["O", "B-X", "I-X"], str(tiny), dropout=0.5).model
    assert not any(module.training for module in model.modules() if isinstance(module, nn.Dropout))
    ids = torch.tensor([[101, 7592, 102]])
    assert model(input_ids=ids).logits.equal(model(input_ids=ids).logits)
    model.train()
    assert not model(input_ids=ids).logits.equal(model(input_ids=ids).logits)
