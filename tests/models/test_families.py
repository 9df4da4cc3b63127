"""Every family of encoders in transformers: it works, it is padded only, or it is refused in one
sentence.
"""

import csv
import json
import logging
import shutil

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
)
from transformers.utils import logging as transformers_logging

from rmlib.errors import RmlibValueError
from rmlib.models.attention import can_pack, first_position
from rmlib.models.dropout import set_dropout
from rmlib.models.encoder import (
    EncoderError,
    embedding_tables,
    encoder_layers,
    freeze,
    load_tagger,
    new_classifier,
    new_tagger,
)
from rmlib.models.lora import add_lora, merge_lora
from rmlib.text.conll import Sentence
from tests.benchmarks.encoders import FILE
from tests.models.families import FAMILIES, config_of, examine, save_family

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TYPICAL = ("bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert", "gpt2")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tokenizer(minilm):
    return AutoTokenizer.from_pretrained(minilm)


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    """The folder of a family, made once."""
    made = {}

    def folder(family, **settings):
        key = (family, repr(settings))
        if key not in made:
            made[key] = save_family(family, tmp_path_factory.mktemp("f"), tokenizer, **settings)
        return made[key]

    return folder


def stored() -> dict[str, dict]:
    with open(FILE, newline="", encoding="utf8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["family"]: row for row in rows}


# --- Every family ---------------------------------------------------------------------------------


def check(family, folder, tokenizer, small):
    transformers_logging.set_verbosity(logging.CRITICAL)
    row = examine(family, folder, tokenizer, small.train[:24])
    assert row == stored()[family]
    assert len(row["note"]) < 400 and "\n" not in row["note"]


@pytest.mark.parametrize("family", TYPICAL)
def test_a_typical_family(family, tokenizer, small, tmp_path):
    check(family, tmp_path, tokenizer, small)


@pytest.mark.long
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in TYPICAL])
def test_another_family(family, tokenizer, small, tmp_path):
    check(family, tmp_path, tokenizer, small)


def test_the_stored_table_has_every_family():
    assert list(stored()) == FAMILIES
    verdicts = {row["verdict"] for row in stored().values()}
    assert verdicts == {"works", "padded only", "refused"}
    assert all(row["note"] for row in stored().values() if row["verdict"] == "refused")


# --- Settings under other names -------------------------------------------------------------------


@pytest.mark.parametrize(
    "family, names",
    [
        ("bert", {"hidden_dropout_prob", "attention_probs_dropout_prob"}),
        # Machine-Learning-for-Medical-Language/cnlp_transformers#35
        ("distilbert", {"dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout"}),
        ("gpt2", {"resid_pdrop", "embd_pdrop", "attn_pdrop", "classifier_dropout"}),
        ("t5", {"dropout_rate", "classifier_dropout"}),
        ("xlm", {"dropout", "attention_dropout"}),
        ("funnel", {"hidden_dropout", "attention_dropout", "activation_dropout"}),
        ("modernbert", {"mlp_dropout", "embedding_dropout", "classifier_dropout"}),
        ("esm", {"hidden_dropout_prob", "attention_probs_dropout_prob"}),
        ("llama", {"attention_dropout", "classifier_dropout"}),
    ],
)
def test_dropout_has_many_names(family, names, tokenizer):
    config = config_of(family, tokenizer)
    before = getattr(config, "token_dropout", None)  # of ESM: a switch, no probability
    set_dropout(config, 0.25)
    assert {getattr(config, name) for name in names} == {0.25}
    assert getattr(config, "token_dropout", None) is before


@pytest.mark.parametrize("family", ["distilbert", "gpt2", "t5", "xlm", "llama", "modernbert"])
def test_dropout_reaches_encoder_and_head(family, saved):
    model = new_tagger(TAGS, str(saved(family)), dropout=0.3).model
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}


@pytest.mark.parametrize(
    "family, tables, layers",
    [
        ("bert", 3, 2),  # words, positions, types
        ("xlm", 2, 2),
        ("gpt2", 2, 2),
        ("modernbert", 1, 2),
        ("albert", 3, 1),  # its layers share their weights
        ("funnel", 1, 4),  # two of its decoder
        ("t5", 1, 2),
        ("xlnet", 1, 2),
        ("distilbert", 2, 2),
        ("mobilebert", 3, 2),
    ],
)
def test_embeddings_and_layers_are_found(family, tables, layers, tokenizer):
    model = AutoModelForTokenClassification.from_config(config_of(family, tokenizer))
    assert len(embedding_tables(model)) == tables
    assert len(encoder_layers(model)) == layers


def test_a_layer_of_xlm_has_all_its_parts(tokenizer):
    model = AutoModelForTokenClassification.from_config(config_of("xlm", tokenizer))
    freeze(model, 1)
    frozen = {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad}
    assert {"attentions", "layer_norm1", "ffns", "layer_norm2"} <= frozen
    assert all(p.requires_grad for p in model.transformer.ffns[1].parameters())


def test_nothing_to_freeze_is_said(tiny):
    """amazon-science/wqa-contextual-qa#2: the tables have another name."""
    model = new_tagger(TAGS, str(tiny)).model
    model.get_input_embeddings = lambda: None
    embeddings = model.bert.embeddings
    for name in ("word_embeddings", "position_embeddings"):
        setattr(embeddings, name, torch.nn.Linear(1, 1))
    with pytest.raises(RmlibValueError, match="BertForTokenClassification has no table of embedd"):
        freeze(model, "embeddings")


# --- How long a text may be -----------------------------------------------------------------------

NONE = int(1e30)


@pytest.mark.parametrize(
    "family, positions, stated, expected",
    [
        ("bert", 512, 512, 512),
        ("bert", 512, NONE, 512),
        ("bert", 128, 512, 128),
        ("roberta", 66, NONE, 65),  # the tokenizer's padding is 0 here, RoBERTa's own is 1
        ("xlm-roberta", 514, NONE, 513),
        ("camembert", 66, 512, 65),  # thai2transformers#73
        ("mpnet", 66, NONE, 64),
        ("longformer", 66, NONE, 65),
        ("esm", 66, NONE, 65),
        ("data2vec-text", 66, 70, 65),
        ("gpt2", 40, NONE, 40),
        ("xlnet", None, NONE, 512),  # says -1
        ("t5", None, NONE, 512),
        ("t5", None, 300, 300),
        ("funnel", None, NONE, 512),
        ("bloom", None, NONE, 512),
        ("llama", 131072, NONE, 4096),
        ("modernbert", 8192, 8192, 4096),
        ("deberta-v2", 512, NONE, 512),
    ],
)
def test_the_longest_input(family, positions, stated, expected, tokenizer, saved):
    settings = {"max_position_embeddings": positions, "n_positions": positions}
    tagger = new_tagger(TAGS, str(saved(family, **{k: v for k, v in settings.items() if v})))
    tagger.tokenizer.model_max_length = stated
    assert tagger.max_length == expected
    if expected <= 600:  # it can be read, and where there is a table no token more
        tokens = torch.full((1, expected), 1000)
        tagger.model.eval()(input_ids=tokens)
        if stated == NONE and family in ("bert", "roberta", "mpnet", "longformer", "gpt2"):
            with pytest.raises((IndexError, RuntimeError)):
                tagger.model(input_ids=torch.full((1, expected + 1), 1000))


def test_roberta_reads_512_tokens_of_514_positions(saved):
    """huggingface/transformers#14243, explosion/curated-transformers#359: padding is token 1."""
    tagger = new_tagger(TAGS, str(saved("roberta", max_position_embeddings=514, pad_token_id=1)))
    tagger.tokenizer.model_max_length = NONE
    assert first_position(tagger.model) == 2 and tagger.max_length == 512
    assert len(tagger.tag([["Rome"] * 2000])[0]) == 2000


@pytest.mark.parametrize("family, first", [("roberta", 1), ("mpnet", 2), ("bert", 0), ("esm", 1)])
def test_the_first_position(family, first, tokenizer):
    model = AutoModelForTokenClassification.from_config(config_of(family, tokenizer))
    assert first_position(model) == first


# --- Refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family, message",
    [
        ("bros", "does not read plain text here .*bbox.*; expected an encoder that needs nothing"),
        ("xmod", "does not read plain text here .*language unknown.*; expected an encoder"),
    ],
)
def test_an_encoder_that_reads_more_than_text_is_refused(family, message, saved):
    with pytest.raises(EncoderError, match=message):
        new_tagger(TAGS, str(saved(family)))


def test_a_vocabulary_that_is_not_the_encoders_is_refused(tiny, tmp_path):
    """huggingface/transformers#12763, EuroEval/EuroEval#52."""
    folder = shutil.copytree(tiny, tmp_path / "copy")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<e1>", "<e2>"])  # and the table was not resized
    tokenizer.save_pretrained(folder)
    with pytest.raises(
        EncoderError, match="the tokenizer has 30524 tokens; expected at most 30522"
    ):
        new_tagger(TAGS, str(folder))


@pytest.mark.parametrize("family, packs", [("gpt2", False), ("llama", False), ("bert", True)])
def test_causal_decoders_are_never_packed(family, packs, saved):
    tagger = new_tagger(TAGS, str(saved(family)))
    assert can_pack(tagger.model) is packs
    words = ["the", "company", "opened", "in", "Paris"]
    one, other = (
        tagger.encode([Sentence(tuple(w), ("O",) * 5)]) for w in (words, [*words[:4], "x"])
    )
    first, second = tagger.logits(one)[0][:4], tagger.logits(other)[0][:4]
    assert first.equal(second) is not packs  # a decoder does not see the last word before it


def test_a_decoder_can_classify_whole_texts(saved):
    classifier = new_classifier(["no", "yes"], str(saved("gpt2")))
    ids = torch.tensor([[5, 6, 7], [8, 9, 0]])
    assert classifier.model(input_ids=ids).logits.shape == (2, 2)


# --- Taggers from elsewhere -----------------------------------------------------------------------


def foreign(folder, tokenizer, names):
    """A tagger as a script of transformers saves it, and its predictions by hand."""
    torch.manual_seed(1)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    model = BertForTokenClassification(config).eval()
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=3)  # so that all labels occur
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    @torch.no_grad()
    def predict(words):
        inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        best = model(**inputs).logits[0].argmax(-1).tolist()
        word_ids = inputs.word_ids()
        return [names[best[word_ids.index(word)]] for word in range(len(words))]

    return predict


SCHEMES = {
    "other order": ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"],
    "O last": ["I-PER", "B-PER", "O"],
    "BIOES": ["O", "S-PER", "E-PER", "I-PER", "B-PER", "S-LOC", "B-LOC", "I-LOC", "E-LOC"],
    "BILOU": ["L-PER", "O", "U-PER", "I-PER", "B-PER"],
    "BMES": ["O", "B-NAME", "M-NAME", "E-NAME", "S-NAME"],
    "IOB1": ["O", "B-MISC", "I-MISC", "B-PER", "I-PER"],  # dbmdz/…-conll03-english
    "IO": ["O", "I-PER", "I-LOC"],
    "types alone": ["O", "PER", "LOC"],
}


@pytest.mark.parametrize("names", SCHEMES.values(), ids=SCHEMES)
def test_a_tagger_from_elsewhere_predicts_the_same(names, tokenizer, small, tmp_path):
    predict = foreign(tmp_path, tokenizer, names)
    tagger = load_tagger(tmp_path)
    words = [list(sentence.words) for sentence in small.test]
    found, expected = tagger.tag(words), [predict(sentence) for sentence in words]
    for tags, own in zip(found, expected, strict=True):
        assert [t == "O" for t in tags] == [t == "O" for t in own]
        kinds = [t if t == "O" or t[1:2] != "-" else t[2:] for t in own]
        assert [t.removeprefix("B-").removeprefix("I-") for t in tags] == kinds
        begins = [i for i, t in enumerate(own) if t[0] in "BSU" and t[1:2] == "-"]
        assert all(tags[i].startswith("B-") for i in begins)
    assert {tag for own in expected for tag in own} == set(names)
    tagger.save(tmp_path / "again")
    assert load_tagger(tmp_path / "again").tag(words) == found


@pytest.mark.parametrize(
    "names",
    [
        ["LABEL_0", "LABEL_1", "LABEL_2"],
        ["NOUN", "VERB"],
        ["O", "B-PER", "PER"],
        ["B-PER", "I-PER"],
        ["POSITIVE", "NEGATIVE"],
        ["o", "b-per", "i-per"],
        ["0", "B-PER", "I-PER"],  # neuralmagic/deepsparse#742
    ],
)
def test_names_that_are_no_tags_are_refused(names, tokenizer, tmp_path):
    foreign(tmp_path, tokenizer, names)
    with pytest.raises(EncoderError) as caught:
        load_tagger(tmp_path)
    message = str(caught.value)
    assert f"the labels are {', '.join(names)}; expected names of tags such as O, B-PER" in message


def test_a_tagger_of_the_kit_says_so(tiny, tmp_path):
    tagger = new_tagger(TAGS, str(tiny))
    tagger.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tag_scheme"] == "IOB2"
    assert AutoConfig.from_pretrained(tmp_path).tag_scheme == "IOB2"


@pytest.mark.parametrize("family", ["convbert", "fnet", "nystromformer"])
def test_padding_that_would_be_read_is_avoided(family, saved, small):
    """Else tags depend on the rest of the batch (AI4Bharat/IndicBERT#20)."""
    tagger = new_tagger(small.tags, str(saved(family)))
    assert tagger.reads_padding and not can_pack(tagger.model)
    words = [sentence.words for sentence in small.test]
    assert tagger.tag(words) == [tagger.tag([own])[0] for own in words]


def test_adapters_without_a_linear_layer_are_refused(saved):
    model = new_tagger(TAGS, str(saved("squeezebert"))).model
    with pytest.raises(
        RmlibValueError,
        match="lora is 4; SqueezeBertForTokenClassification has no linear layer for adapters",
    ):
        add_lora(model, 4)


def test_adapters_of_gpt2_are_merged_exactly(saved, small):
    """hiyouga/LlamaFactory#6081: its layers are no nn.Linear."""
    tagger = new_tagger(small.tags, str(saved("gpt2")), dropout=0.0)
    add_lora(tagger.model, 4)
    for name, parameter in tagger.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    encoded = tagger.encode(small.test)
    before = torch.cat(tagger.logits(encoded))
    merge_lora(tagger.model)
    torch.testing.assert_close(torch.cat(tagger.logits(encoded)), before, rtol=1e-3, atol=1e-4)
    assert not [name for name, _ in tagger.model.named_parameters() if "lora" in name]
