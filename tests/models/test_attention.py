"""Attention: against transformers' own, and packed against padded."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from rmlib.models import attention
from rmlib.models.attention import can_pack
from rmlib.models.encoder import new_tagger
from rmlib.text.batches import longest_first
from rmlib.text.packing import TokenStore
from tests.text.padding import collate


@pytest.fixture
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


@pytest.fixture
def examples(tagger, small):
    return tagger.encode(small.train).examples


def gradients(model, logits, weight):
    return torch.autograd.grad(
        (logits * weight).sum(), [p for n, p in model.named_parameters() if "pooler" not in n]
    )


@pytest.mark.parametrize("of", ["eager", "sdpa"])
def test_padded_against_transformers(tagger, examples, of):
    batch = collate(examples[:12])
    batch.pop("labels")
    assert (batch["attention_mask"] == 0).any()
    tagger.model.double()
    model, real = tagger.model, batch["attention_mask"].bool()
    values = model(**batch).logits[real]
    weight = torch.randn_like(values)
    own = gradients(model, values, weight)
    model.set_attn_implementation(of)
    assert not can_pack(model)
    expected = model(**batch).logits[real]
    torch.testing.assert_close(values, expected)
    for one, other in zip(own, gradients(model, expected, weight), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("size", [128, 300])
def test_packed_against_padded(tagger, examples, size):
    """Values and gradients: neither other sentences nor padding have an effect."""
    assert can_pack(tagger.model)
    tagger.model.double()
    store = TokenStore(examples)
    for group in longest_first(store.lengths.tolist(), size)[:3]:
        padded, row = store.padded(group), store.packed(group, size)
        assert row.inputs["input_ids"].shape == (1, size) and "attention_mask" not in row.inputs
        logits = [
            tagger.model(**one.inputs).logits.flatten(0, 1)[one.items] for one in (padded, row)
        ]
        torch.testing.assert_close(*logits)
        weight = torch.randn_like(logits[0])
        for one, other in zip(*(gradients(tagger.model, z, weight) for z in logits), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("lengths", [[1], [7], [3, 9, 1, 17], [20, 3, 3, 1, 0, 0]])
def test_packed_in_any_order(lengths):
    """Of one sentence or of several, in any order, and with nothing at the end of the list."""
    q, k, v = torch.randn(3, 1, 2, sum(lengths), 4, dtype=torch.double).unbind()
    starts = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    parts = zip(*(x.split(lengths, 2) for x in (q, k, v)), strict=True)
    alone = [attention.plain(*part, None, 0.0, 0.5).transpose(1, 2) for part in parts]
    torch.testing.assert_close(attention.packed(q, k, v, 0.5, starts, 20), torch.cat(alone, 1))


def test_dropout_falls_on_the_attention_weights():
    q, k, v = torch.randn(3, 1, 1, 6, 8, requires_grad=True).unbind()
    torch.manual_seed(0)
    values = attention.plain(q, k, v, None, 0.5, 1.0)
    torch.manual_seed(0)
    weights = attention.drop((q @ k.transpose(2, 3)).softmax(-1), 0.5)
    torch.testing.assert_close(values, weights @ v)
    assert (weights == 0).any() and not torch.allclose(
        values, attention.plain(q, k, v, None, 0.0, 1.0)
    )


def test_the_call_of_the_gpu_kernel_fits_torch():
    """On tensors that have shapes but no data, so that no GPU is needed and no kernel runs."""
    q, k, v = (
        torch.empty(1, 12, 64, 32, device="meta", dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )
    starts = torch.empty(9, dtype=torch.int32, device="meta")
    values = attention.packed_on_gpu(q, k, v, 0.2, starts, 16)
    assert values.shape == (1, 64, 12, 32)
    values.sum().backward()
    assert q.grad.shape == q.shape


def test_a_model_without_the_interface_keeps_its_own():
    class Other(torch.nn.Module):
        pass

    assert attention.use_attention(Other()) is None


def test_an_encoder_with_local_attention_keeps_its_own():
    config = AutoConfig.for_model(
        "modernbert",
        vocab_size=50_300,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
    )
    assert attention.use_attention(AutoModel.from_config(config)) is None


def test_saved_it_is_an_ordinary_model(tagger, tmp_path):
    tagger.save(tmp_path)
    assert "rmlib" not in (tmp_path / "config.json").read_text()
    assert AutoModel.from_pretrained(tmp_path).config._attn_implementation == "sdpa"
