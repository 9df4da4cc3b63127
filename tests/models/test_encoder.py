"""Pretrained encoders with their heads: loaded, refused, frozen, tagging, saved."""

import itertools
import json
import random
import shutil

import pytest
import torch
from transformers import AutoModel, pipeline

from rmlib.errors import RmlibError, RmlibValueError
from rmlib.models.attention import use_attention
from rmlib.models.encoder import EncoderError, freeze, load_tagger, new_classifier, new_tagger
from rmlib.text import downloads
from rmlib.text.conll import Sentence
from rmlib.text.encoding import encode_texts
from rmlib.training.config import Config
from rmlib.training.loop import Training
from tests.text.padding import collate
from tests.text.test_viterbi import well_formed

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(scope="module")
def real():
    return new_tagger(TAGS)


@pytest.fixture
def copy(tiny, tmp_path):
    """A copy of the tiny folder, to be damaged."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture(scope="module")
def trained(tiny, small):
    """A tiny tagger after a few steps, so that its tags vary."""
    tagger = new_tagger(small.tags, str(tiny), dropout=0.0)
    config = Config(
        alpha=0, epochs=12, lr=0.01, max_tokens=256, case_dropout=0, freeze="none", precision="fp32"
    )
    losses = [step.total for step in Training(tagger, tagger.encode(small.train).examples, config)]
    assert losses[-1] < 0.7 * losses[0]
    return tagger


def _sentence(words):
    return Sentence(tuple(words), ("O",) * len(words))


# --- Loading --------------------------------------------------------------------------------------


def test_minilm_loads_and_reports_what_is_new(real):
    for new in ("classifier.weight", "classifier.bias", "token_type_embeddings.weight (case)"):
        assert new in real.report.split("new, not from the checkpoint:")[1]
    assert "minilm: 22.6 M parameters" in real.report and "encoder.layer" not in real.report
    assert real.max_length == 512 and real.case and real.labels == TAGS
    assert real.model.config.id2label == dict(enumerate(TAGS))


def test_the_case_channel_changes_nothing_before_training(real, minilm, small):
    plain = AutoModel.from_pretrained(minilm).eval()
    use_attention(plain)  # the same sums in the same order
    batch = collate(
        real.encode([_sentence(sentence.words) for sentence in small.train[:6]]).examples
    )
    assert batch["token_type_ids"].unique().tolist() == [0, 1, 2]
    with torch.no_grad():
        inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
        expected = plain(
            **inputs, token_type_ids=torch.zeros_like(batch["input_ids"])
        ).last_hidden_state
        base = real.model.eval().base_model
        states = base(**inputs, token_type_ids=batch["token_type_ids"]).last_hidden_state
        assert states.equal(expected)
        head = torch.nn.functional.linear(
            expected, real.model.classifier.weight, real.model.classifier.bias
        )
        logits = real.model(
            **{key: value for key, value in batch.items() if key != "labels"}
        ).logits
    torch.testing.assert_close(logits, head)


def test_the_case_channel_has_an_effect_after_training(trained):
    words = ["the", "company", "opened", "in", "Paris"]
    embeddings = trained.model.base_model.embeddings.token_type_embeddings.weight
    assert len({tuple(row.tolist()) for row in embeddings}) > 1
    logits = []
    for sentence in (words, [word.lower() for word in words]):
        batch = collate(trained.encode([_sentence(sentence)]).examples)
        batch.pop("labels")
        logits.append(trained.model.eval()(**batch).logits)
    assert not torch.allclose(*logits)


def test_the_seed_decides_the_new_weights(tiny):
    state = torch.random.get_rng_state()
    one, same, other = (
        new_tagger(TAGS, str(tiny), seed=seed).model.classifier.weight for seed in (1, 1, 2)
    )
    assert one.equal(same) and not one.equal(other)
    assert torch.random.get_rng_state().equal(state)  # the global generator is not used


def test_dropout_is_set_in_encoder_and_head(tiny):
    model = new_tagger(TAGS, str(tiny), dropout=0.3).model
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(
            RmlibValueError, match="dropout is .*; expected a number from 0 to below 1"
        ):
            new_tagger(TAGS, str(tiny), dropout=wrong)


# --- Refusing -------------------------------------------------------------------------------------


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def pickled(folder):
    without_weights(folder)
    torch.save({}, folder / "pytorch_model.bin")


def truncated(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def junk(folder):
    (folder / "model.safetensors").write_bytes(b"junk" * 99)


def without_config(folder):
    (folder / "config.json").unlink()


def without_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def config(text):
    return lambda folder: (folder / "config.json").write_text(text)


def broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")


def other_shape(folder):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stored | {"hidden_size": 48}))


@pytest.mark.parametrize(
    "damage, message",
    [
        (without_weights, "holds no weights; expected model.safetensors"),
        (pickled, "holds pytorch_model.bin, a pickle, .*; expected model.safetensors"),
        (truncated, "does not load as an encoder: .*not fully covered"),
        (junk, "does not load as an encoder"),
        (without_config, "has no config.json"),
        (without_tokenizer, "holds no tokenizer"),
        (broken_tokenizer, "does not load as an encoder"),
        (config('{"model_type": '), "config.json is not readable JSON"),
        (config("[]"), "config.json is not one JSON object"),
        (config("{}"), "does not load as an encoder: Unrecognized model"),
        (
            config('{"model_type": "bert", "hidden_size": "wide"}'),
            "does not load as an encoder: .*hidden_size",
        ),
        (other_shape, r"has shape .*; expected"),
    ],
)
def test_a_folder_that_is_no_encoder_is_refused_in_one_sentence(copy, damage, message):
    damage(copy)
    with pytest.raises(EncoderError, match=message) as caught:
        new_tagger(TAGS, str(copy))
    whole = str(caught.value)
    assert str(copy) in whole and "\n" not in whole and len(whole) < 600


def test_a_head_for_other_classes_is_replaced_and_reported(copy):
    new_tagger(TAGS[:3], str(copy)).save(copy)
    assert "new, not from the checkpoint: none" in new_tagger(TAGS[:3], str(copy)).report
    retrained = new_tagger(TAGS, str(copy))
    assert retrained.model.num_labels == len(TAGS)
    assert "classifier.bias, classifier.weight" in retrained.report
    stored = json.loads((copy / "config.json").read_text())
    stored |= {"id2label": {str(i): tag for i, tag in enumerate(TAGS)}}
    (copy / "config.json").write_text(json.dumps(stored))
    with pytest.raises(
        EncoderError, match="no trained head for its labels; missing: classifier.bias"
    ):
        load_tagger(copy)


@pytest.mark.parametrize("names", [None, ["O"], {"1": "O"}, {"0": None}, {"0": "O", "x": "B-PER"}])
def test_a_folder_without_a_trained_tagger_is_refused(copy, names):
    stored = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps(stored if names is None else stored | {"id2label": names})
    )
    with pytest.raises(
        EncoderError,
        match="holds no trained tagger; expected a folder that `rmlib train --out` wrote",
    ):
        load_tagger(copy)
    with pytest.raises(EncoderError, match="is not a folder"):
        load_tagger(copy / "nowhere")


def test_a_name_that_is_neither_folder_nor_repository():
    with pytest.raises(
        downloads.AssetError, match="neither a local folder nor a name on the model hub"
    ):
        new_tagger(TAGS, "no/such/folder")


# --- Freezing -------------------------------------------------------------------------------------


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_freezing_by_name(tiny):
    model = new_tagger(TAGS, str(tiny)).model
    everything = {name for name, _ in model.named_parameters()}
    layer = {n: {name for name in everything if f"encoder.layer.{n}." in name} for n in (0, 1)}
    embeddings = {name for name in everything if "embeddings" in name}
    head = {"classifier.weight", "classifier.bias"}
    assert everything == layer[0] | layer[1] | embeddings | head and all(layer.values())
    tables = {f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position")}
    expected = {
        "encoder": head,
        "none": everything,
        "embeddings": everything - tables,
        "0": everything - embeddings,
        1: everything - embeddings - layer[0],
        "2": head,
    }
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    for what, names in expected.items():  # one after the other: each call starts from all
        count = freeze(model, what)
        assert trainable(model) == names and count == sum(sizes[name] for name in names)
    with pytest.raises(RmlibValueError, match="freeze is 3; this encoder has 2 layers"):
        freeze(model, 3)
    with pytest.raises(
        RmlibValueError, match="freeze is 'heads'; expected none, embeddings, encoder, or a number"
    ):
        freeze(model, "heads")


@pytest.mark.parametrize("what", ["encoder", "embeddings", "1"])
def test_what_is_frozen_stays_equal_to_the_bit_and_the_rest_learns(tiny, small, what):
    tagger = new_tagger(small.tags, str(tiny))
    before = {name: p.detach().clone() for name, p in tagger.model.named_parameters()}
    settings = Config(
        alpha=1, epochs=1, lr=0.01, weight_decay=0.1, freeze=what, precision="fp32", max_tokens=256
    )
    steps = list(Training(tagger, tagger.encode(small.train).examples, settings))
    assert len(steps) > 3
    moved = {
        name for name, p in tagger.model.named_parameters() if not p.detach().equal(before[name])
    }
    # a key's bias shifts all scores of a query alike: softmax does not see it
    assert moved <= trainable(tagger.model) and trainable(tagger.model) - moved <= {
        f"bert.encoder.layer.{n}.attention.self.key.bias" for n in (0, 1)
    }


# --- Tagging -------------------------------------------------------------------------------------


def test_tag_returns_one_tag_per_word(trained):
    odd = [
        ["🙂‍↔️", "\u200b", "\x01", "東京", "ﬁ", "\ud7ff", "[SEP]", "##s", "é" * 300],
        ["\u200b"],
        ["Rome", "", "is"],
    ]
    for sentences in ([], [[]], [[], ["Rome"], []], odd):
        tags = trained.tag(sentences)
        assert [len(row) for row in tags] == [len(row) for row in sentences]
        assert all(well_formed(row) and set(row) <= set(trained.labels) for row in tags)


def test_tags_do_not_depend_on_the_rest_of_the_batch(trained, small):
    sentences = [list(sentence.words) for sentence in small.train]
    together, alone = trained.tag(sentences), [trained.tag([words])[0] for words in sentences]
    assert together == alone == trained.tag(sentences, max_tokens=60)
    assert len({tag for row in together for tag in row}) > 1


def test_dropout_is_off_while_tagging(tiny, small):
    tagger = new_tagger(small.tags, str(tiny), dropout=0.5)
    tagger.model.train()
    sentences = [list(sentence.words) for sentence in small.test]
    assert tagger.tag(sentences) == tagger.tag(sentences)


def test_tagging_leaves_the_mode_of_the_model(trained):
    for mode in (True, False):
        trained.model.train(mode)
        trained.tag([["Rome"]])
        assert trained.model.training is mode


def test_a_long_text_is_read_to_its_end(trained, small):
    """Names are found to the last words (huggingface/transformers#14631, #15177)."""
    words = list(itertools.islice(itertools.cycle(w for s in small.train for w in s.words), 900))
    (tags,) = trained.tag([words])
    assert len(tags) == 900 and well_formed(tags)
    assert all(set(tags[k : k + 100]) != {"O"} for k in range(0, 900, 100))


def test_windows_give_the_logits_of_the_text_around_a_word(trained, small):
    """Each word's logits are those of the one window that it belongs to."""
    words = tuple(w for s in small.train for w in s.words)
    encoded = trained.encode([Sentence(words, ("O",) * len(words))])
    assert encoded.windows == [len(encoded)] and len(encoded) > 2
    (joined,) = trained.logits(encoded)
    expected = []
    for example in encoded.examples:
        with torch.no_grad():
            ids, types = torch.tensor([example.input_ids]), torch.tensor([example.case])
            z = trained.model.eval()(input_ids=ids, token_type_ids=types).logits[0]
        expected.append(z[torch.tensor(example.labels) != -100])
    torch.testing.assert_close(joined, torch.cat(expected), rtol=1e-4, atol=1e-5)
    assert len(joined) == len(words)


# --- Saving ---------------------------------------------------------------------------------------


def test_saved_and_loaded_it_tags_the_same(trained, small, tmp_path):
    trained.save(tmp_path)
    again = load_tagger(tmp_path)
    sentences = [list(sentence.words) for sentence in small.test]
    assert again.tag(sentences) == trained.tag(sentences)
    assert (
        again.labels == trained.labels and again.case and again.report.endswith("checkpoint: none")
    )
    assert not [
        file for file in tmp_path.iterdir() if file.suffix not in (".safetensors", ".json", ".txt")
    ]


def test_transformers_pipeline_loads_the_folder(trained, tmp_path):
    trained.save(tmp_path)
    words = [
        "the",
        "company",
        "opened",
        "in",
        "paris",
    ]  # the pipeline knows nothing of the case channel
    (sentence,) = [
        pipeline("token-classification", model=str(tmp_path), ignore_labels=[])(" ".join(words))
    ]
    batch = collate(trained.encode([_sentence(words)]).examples)
    kept = batch.pop("labels")[0] != -100
    with torch.no_grad():
        probabilities = trained.model.eval()(**batch).logits.softmax(-1)[0, kept]
    assert [token["entity"] for token in sentence] == [
        trained.labels[k] for k in probabilities.argmax(-1)
    ]
    assert [token["score"] for token in sentence] == pytest.approx(
        probabilities.max(-1).values.tolist(), abs=1e-5
    )


# --- Whole texts ----------------------------------------------------------------------------------


def test_a_classifier_of_whole_texts_learns(tiny):
    rng = random.Random(0)
    words = ["the", "day", "was", "long", "and", "so", "it", "went"]
    texts, labels = [], []
    for _ in range(120):
        text, label = rng.choices(words, k=rng.randint(3, 7)), rng.randint(0, 1)
        text.insert(rng.randint(0, len(text)), ["good", "awful"][label])
        texts.append(" ".join(text))
        labels.append(label)
    classifier = new_classifier(["fine", "negative"], str(tiny))
    encoded = encode_texts(texts, labels, classifier.tokenizer)
    settings = Config(
        alpha=1, epochs=8, lr=0.01, freeze="none", max_tokens=256, patience=0, precision="fp32"
    )
    list(Training(classifier, encoded.examples[:100], settings))
    inputs = collate(encoded.examples[100:])
    truth = inputs.pop("labels")
    with torch.no_grad():
        predictions = classifier.model.eval()(**inputs).logits.argmax(-1)
    assert (predictions == truth).float().mean() >= 0.9


def test_an_error_of_the_encoder_is_one_the_command_line_prints():
    assert issubclass(EncoderError, RmlibError)
