"""The exercises on training with one's own batches: collator, training loop, early stopping."""

from collections.abc import Callable
from numbers import Number
from random import Random

import torch
from torch import Tensor, nn

from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.own_pieces import mine
from rmlib.loss.objective import Loss, RewardObjective
from rmlib.text.encoding import IGNORE

from .alignment import align_slowly, pad_slowly, some_tokens

# --- A data collator ------------------------------------------------------------------------------

KEYS = ("input_ids", "attention_mask", "labels", "token_type_ids")


def collate_slowly(examples, pad_id):
    """Align each sentence, then pad ids, labels and token types to the longest."""
    aligned = [align_slowly(one["word_ids"], one["labels"]) for one in examples]
    ids, mask, labels = pad_slowly([one["input_ids"] for one in examples], aligned, pad_id)
    case, _, _ = pad_slowly([one["case"] for one in examples], aligned, 0)
    return dict(zip(KEYS, (ids, mask, labels, case), strict=True))


def some_examples(seed):
    """(examples, pad_id): three sentences as the tokenizer gives them, with one label per word."""
    random = Random(seed)
    examples = []
    for number in range(3):
        word_ids, labels = some_tokens(3 * seed + number)
        ids = [random.randint(5, 99) for _ in word_ids]
        case = [0 if word is None else random.choice([0, 1, 2]) for word in word_ids]
        examples.append({"input_ids": ids, "word_ids": word_ids, "labels": labels, "case": case})
    return examples, (0, 1, 7)[seed % 3]


def _batch_but(name: str, change: Callable | None = None):
    """The right batch without one entry, or with change(examples, batch, pad_id) in its place."""

    def wrong(examples, pad_id):
        batch = collate_slowly(examples, pad_id)
        right = batch.pop(name)
        if change:
            batch[name] = change(examples, {**batch, name: right}, pad_id)
        return batch

    return wrong


def _labels_of_words(examples, batch, pad_id):
    rows = [one["labels"] for one in examples]
    return pad_slowly(rows, rows, pad_id)[2]


def _labels_of_words_to_full_length(examples, batch, pad_id):
    labels = _labels_of_words(examples, batch, pad_id)
    padding = batch["labels"].shape[1] - labels.shape[1]
    return nn.functional.pad(labels, (0, padding), value=IGNORE)


def _case_padded_with_pad_id(examples, batch, pad_id):
    return batch["token_type_ids"].where(batch["attention_mask"] == 1, pad_id)


def _keys(**names: str):
    """The right batch with other names of keys."""

    def wrong(examples, pad_id):
        batch = collate_slowly(examples, pad_id)
        return {names.get(key, key): value for key, value in batch.items()}

    return wrong


def _ids_padded_with_0(examples, batch, pad_id):
    return batch["input_ids"].where(batch["attention_mask"] == 1, 0)


def _all_0(examples, batch, pad_id):
    return torch.zeros_like(batch["labels"])


def _labels_padded_with(value: Callable):
    return lambda examples, batch, pad_id: batch["labels"].where(
        batch["attention_mask"] == 1, value(pad_id)
    )


def collate(examples, pad_id=0):
    labels = [mine.align(one["word_ids"], one["labels"]) for one in examples]
    ids, mask, y = mine.pad_batch([one["input_ids"] for one in examples], labels, pad_id)
    case, _, _ = mine.pad_batch([one["case"] for one in examples], labels, 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": y, "token_type_ids": case}


COLLATE = Exercise(
    id="bert_ner.collate",
    title="a data collator",
    spec=collate_slowly,
    inputs=some_examples,
    misconceptions=(
        Misconception(
            "labels-of-words",
            "The labels are still one per word. `mine.align` makes one per token of them, sentence "
            "by sentence, before anything is padded.",
            _batch_but("labels", _labels_of_words),
        ),
        Misconception(
            "labels-of-words-to-full-length",
            "The labels are as long as the tokens, but nobody aligned them: label number i stands "
            "beside token number i. Use `mine.align` before you pad.",
            _batch_but("labels", _labels_of_words_to_full_length),
        ),
        Misconception(
            "case-padded-with-pad-id",
            "The token types are padded with pad_id, which is a token and no token type. Padding "
            "has type 0.",
            _batch_but("token_type_ids", _case_padded_with_pad_id),
        ),
        Misconception(
            "no-mask",
            "There is no attention_mask, so the model would attend to padding.",
            _batch_but("attention_mask"),
        ),
        Misconception(
            "no-token-types",
            "There are no token_type_ids, so the model would see no capitals.",
            _batch_but("token_type_ids"),
        ),
        Misconception(
            "no-labels",
            "There are no labels: the loss needs them, under the key labels.",
            _batch_but("labels"),
        ),
        Misconception(
            "key-mask",
            "The batch is right but for a name: the model knows `mask` as `attention_mask`.",
            _keys(attention_mask="mask"),
        ),
        Misconception(
            "key-case",
            "The batch is right but for a name: the model knows `case` as `token_type_ids`.",
            _keys(token_type_ids="case"),
        ),
        Misconception(
            "key-mask-and-case",
            "The batch is right but for two names: the model knows `mask` as `attention_mask` and "
            "`case` as `token_type_ids`.",
            _keys(attention_mask="mask", token_type_ids="case"),
        ),
        Misconception(
            "key-ids",
            "The batch is right but for a name: the model knows `ids` as `input_ids`.",
            _keys(input_ids="ids"),
        ),
        Misconception(
            "tuple-for-dict",
            "The four tensors are right, but return a dict with their names: the model takes them "
            "by name.",
            lambda examples, pad_id: tuple(collate_slowly(examples, pad_id).values()),
        ),
        Misconception(
            "three-for-dict",
            "These are the three tensors of `mine.pad_batch`. Return a dict of four, with "
            "token_type_ids as well: the model takes them by name.",
            lambda examples, pad_id: tuple(collate_slowly(examples, pad_id).values())[:3],
        ),
        Misconception(
            "ids-padded-with-0",
            "input_ids are padded with 0. Hand pad_id over to `mine.pad_batch`.",
            _batch_but("input_ids", _ids_padded_with_0),
        ),
        Misconception(
            "labels-all-0",
            "All labels are 0, the tag O. Which row does `mine.pad_batch` get as labels?",
            _batch_but("labels", _all_0),
        ),
        Misconception(
            "labels-padded-with-0",
            "labels: padding has the label 0, the tag O. `mine.pad_batch` pads labels with the "
            "label that is ignored; take its third result.",
            _batch_but("labels", _labels_padded_with(lambda pad_id: 0)),
        ),
        Misconception(
            "labels-padded-with-pad-id",
            "labels: padding has the label pad_id. `mine.pad_batch` pads labels with the label "
            "that is ignored; take its third result.",
            _batch_but("labels", _labels_padded_with(lambda pad_id: pad_id)),
        ),
    ),
    hints=(
        "Three steps: align the labels of each sentence; pad ids and labels with `mine.pad_batch`; "
        "pad the token types the same way, with 0.",
        '`labels = [mine.align(one["word_ids"], one["labels"]) for one in examples]`. '
        "`mine.pad_batch` returns ids, mask and labels; called once more with the rows of `case`, "
        "its first result holds the token types.",
    ),
    solution=collate,
)

# --- The training loop ----------------------------------------------------------------------------


class Toy(nn.Module):
    """A tagger of one table, which trains in no time; like dropout, some features are absent while
    it trains. It takes what a BERT takes, labels included, and its output is a BERT's. Two of them
    count as equal, so that training one may change it.
    """

    def __init__(self, seed: int):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(20, 6, generator=random, dtype=torch.float64))
        self.head = nn.Parameter(torch.randn(6, 4, generator=random, dtype=torch.float64))
        self.eval()  # as `from_pretrained` returns a model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **others,
    ):
        from transformers.modeling_outputs import TokenClassifierOutput  # slow to import

        hidden = self.table[input_ids]
        if attention_mask is not None:
            hidden = hidden * attention_mask[..., None]
        if self.training:
            hidden = hidden * torch.tensor([2.0, 2, 2, 0, 0, 0], dtype=hidden.dtype)
        logits = hidden @ self.head
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
        return TokenClassifierOutput(loss=loss, logits=logits)

    def __eq__(self, other) -> bool:
        return isinstance(other, Toy)

    __hash__ = nn.Module.__hash__


def toy_objective(logits: Tensor, labels: Tensor) -> Loss:
    """The loss that the check hands over."""
    return RewardObjective(2.0)(logits, labels)


def some_training(seed):
    """(model, batches, objective, lr): a toy model and four batches."""
    random = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(4):
        ids = torch.randint(0, 20, (2, 5), generator=random)
        labels = torch.randint(0, 4, (2, 5), generator=random)
        labels[:, 0] = IGNORE
        labels[:, 1] = 1  # no batch is without a name
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    return Toy(seed), batches, toy_objective, (0.01, 0.1)[seed % 2]


def _loss_on(model, batch, objective, term="total"):
    inputs = {name: batch[name] for name in batch if name != "labels"}
    return getattr(objective(model(**inputs).logits, batch["labels"]), term)


def train_slowly(model, batches, objective, lr):
    """Compute each gradient on its own and hand it to the optimizer."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    model.train()
    losses = []
    for batch in batches:
        loss = _loss_on(model, batch, objective)
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            parameter.grad = gradient
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def _training(
    make=torch.optim.AdamW,
    evaluating=False,
    zero=True,
    steps=True,
    term="total",
    anew=False,
    returned="",
):
    """A loop with a mistake in it.

    It trains on `term` and returns `returned`, if that is empty the same.
    """

    def wrong(model, batches, objective, lr):
        model.train(not evaluating)
        optimizer = make(model.parameters(), lr=lr)
        losses = []
        for batch in batches:
            if anew:
                optimizer = make(model.parameters(), lr=lr)
            loss = _loss_on(model, batch, objective, term)
            with torch.no_grad():
                shown = _loss_on(model, batch, objective, returned) if returned else loss
            if zero:
                optimizer.zero_grad()
            loss.backward()
            if steps:
                optimizer.step()
            losses.append(float(shown.detach()))
        return losses

    return wrong


def _judge_floats(train, spec):
    """The losses are floats, not tensors."""
    for loss in train(*some_training(0)):
        if not isinstance(loss, Number):
            raise NotYet(
                "tensors-for-floats",
                "the losses are right, but they are tensors; a tensor can keep the memory of its "
                "whole step. Keep `loss.item()`, a float.",
            )


def _mean_of_losses(model, batches, objective, lr):
    return sum(train_slowly(model, batches, objective, lr)) / len(batches)


def train(model, batches, objective, lr):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()
    losses = []
    for batch in batches:
        inputs = {name: batch[name] for name in batch if name != "labels"}
        loss = objective(model(**inputs).logits, batch["labels"]).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


TRAIN = Exercise(
    id="bert_ner.training_loop",
    title="the training loop",
    spec=train_slowly,
    inputs=some_training,
    misconceptions=(
        Misconception(
            "no-step",
            "The losses are those of a model that never changes. What applies the gradient to the "
            "weights? (And is the gradient set to zero before `backward()`, not after it?)",
            _training(steps=False),
        ),
        Misconception(
            "gradients-add-up",
            "The first loss is right, the later ones are not: `backward()` adds to the gradient of "
            "the batches before. Set it to zero for each batch.",
            _training(zero=False),
        ),
        Misconception(
            "evaluation-mode",
            "The model computes as in evaluation, without dropout. A pretrained model comes in "
            "this mode: call `model.train()` first.",
            _training(evaluating=True),
        ),
        Misconception(
            "optimizer-for-each-batch",
            "Each batch has a new optimizer, which knows nothing of the steps before. Make one, in "
            "front of the loop.",
            _training(anew=True),
        ),
        Misconception(
            "sgd",
            "These are the losses of plain gradient descent (SGD). The article's optimizer is "
            "AdamW: `torch.optim.AdamW`.",
            _training(make=torch.optim.SGD),
        ),
        Misconception(
            "adam",
            "These are the losses of Adam, without weight decay. The article's optimizer is AdamW: "
            "`torch.optim.AdamW`.",
            _training(make=torch.optim.Adam),
        ),
        Misconception(
            "prediction-loss-alone",
            "This trains on the cross-entropy alone, `.prediction` or the model's own `.loss`, as "
            "the article's code does (E10). The whole loss is `objective(logits, labels).total`.",
            _training(term="prediction"),
        ),
        Misconception(
            "backward-from-prediction",
            "You return `.total`, but the gradient is that of the cross-entropy alone "
            "(`.prediction`, or the model's own `.loss`), as in the article's code (E10): α and "
            "the reward change nothing. Call `backward()` on the total.",
            _training(term="prediction", returned="total"),
        ),
        Misconception(
            "returns-prediction",
            "The training is right, on `.total`, but the list holds `.prediction`. Return the "
            "losses L.",
            _training(returned="prediction"),
        ),
        Misconception(
            "reward-loss-alone",
            "This trains on `.reward`, the reward loss alone. The whole loss is `.total`.",
            _training(term="reward"),
        ),
        Misconception(
            "mean-of-losses",
            "Return a list with the loss of each batch, not their mean.",
            _mean_of_losses,
        ),
    ),
    more=_judge_floats,
    hints=(
        "In front of the loop: an optimizer over `model.parameters()`, `model.train()`, an empty "
        "list. For each batch: logits, loss, gradient, step.",
        "`inputs` is the batch without its labels: `{k: v for k, v in batch.items() if k != "
        '"labels"}`, made anew because the batch is used again. `model(**inputs).logits` are the '
        "logits, "
        '`objective(logits, batch["labels"]).total` is the loss. Then `optimizer.zero_grad()`, '
        "`loss.backward()`, `optimizer.step()`; keep `loss.item()`.",
    ),
    solution=train,
)

# --- Early stopping -------------------------------------------------------------------------------


def early_stopping_slowly(scores, patience):
    """After each epoch, look for the best one so far from the beginning."""
    for epoch in range(1, len(scores) + 1):
        so_far = scores[:epoch]
        best = so_far.index(max(so_far)) + 1
        if epoch - best >= patience:
            return epoch, best
    return epoch, best


def some_scores(seed):
    """(scores, patience): dev scores that rise and then waver; some are equal."""
    if seed == 0:
        return [0.62, 0.71, 0.74, 0.73, 0.74, 0.7, 0.76], 3
    random = Random(seed)
    scores = [round(min(0.1 * epoch, 0.5) + random.uniform(0, 0.2), 1) for epoch in range(9)]
    return scores, random.choice([1, 2, 3])


def _stopping(better=lambda score, best: score > best, wait=0, kept="best", at_best=False):
    """Early stopping with a mistake in it."""

    def wrong(scores, patience):
        best, best_epoch = scores[0], 1
        for epoch, score in enumerate(scores, 1):
            if better(score, best):
                best, best_epoch = score, epoch
            if epoch - best_epoch >= patience + wait:
                break
        return (best_epoch if at_best else epoch), (best_epoch if kept == "best" else epoch)

    return wrong


def _compared_with_the_last(scores, patience):
    best_epoch, worse = 1, 0
    for epoch in range(1, len(scores) + 1):
        falls = epoch > 1 and scores[epoch - 1] <= scores[epoch - 2]
        worse = worse + 1 if falls else 0
        if scores[epoch - 1] > scores[best_epoch - 1]:
            best_epoch = epoch
        if worse >= patience:
            break
    return epoch, best_epoch


def _counter_never_reset(scores, patience):
    best, best_epoch, waited = scores[0], 1, 0
    for epoch, score in enumerate(scores[1:], 2):
        if score > best:
            best, best_epoch = score, epoch
        else:
            waited += 1
        if waited >= patience:
            return epoch, best_epoch
    return len(scores), best_epoch


def _best_of_all(scores, patience):
    epoch, _ = early_stopping_slowly(scores, patience)
    return epoch, scores.index(max(scores)) + 1


def early_stopping(scores, patience):
    best, kept = -1.0, 0
    for epoch, score in enumerate(scores, 1):
        if score > best:
            best, kept = score, epoch
        if epoch - kept >= patience:
            return epoch, kept
    return len(scores), kept


EARLY_STOPPING = Exercise(
    id="bert_ner.early_stopping",
    title="early stopping",
    spec=early_stopping_slowly,
    inputs=some_scores,
    misconceptions=(
        Misconception(
            "keeps-the-last",
            "The stop is right, but the weights to keep are those of the best epoch, not of the "
            "last one.",
            _stopping(kept="last"),
        ),
        Misconception(
            "ties-count-as-better",
            "An equal score counts as better with you. Without a *better* score the training has "
            "still to be stopped.",
            _stopping(better=lambda score, best: score >= best),
        ),
        Misconception(
            "one-epoch-late",
            "You stop one epoch late: after `patience` epochs without a better score, not after "
            "the next one.",
            _stopping(wait=1),
        ),
        Misconception(
            "compares-with-the-epoch-before",
            "You compare each score with the one before. Compare it with the best so far: a score "
            "may rise again and still be below it.",
            _compared_with_the_last,
        ),
        Misconception(
            "counter-never-reset",
            "You count all epochs without a better score. It takes `patience` of them in a row: "
            "set the counter back to 0 when a better score comes.",
            _counter_never_reset,
        ),
        Misconception(
            "sees-the-future",
            "The epoch that you keep comes after the stop: it was never trained.",
            _best_of_all,
        ),
        Misconception(
            "best-epoch-twice",
            "The first number is the epoch after which training stops, not the best epoch.",
            _stopping(at_best=True),
        ),
        Misconception(
            "counts-from-0",
            "Right, but you count the epochs from 0. The first epoch is number 1.",
            lambda scores, patience: tuple(n - 1 for n in early_stopping_slowly(scores, patience)),
        ),
        Misconception(
            "never-stops",
            "You go through all epochs: nothing stops after `patience` of them.",
            lambda scores, patience: (len(scores), scores.index(max(scores)) + 1),
        ),
    ),
    hints=(
        "Remember the best score so far and its epoch. How many epochs ago was it?",
        "`for epoch, score in enumerate(scores, 1)`: remember score and epoch if the score is "
        "higher than the best; if `epoch - best_epoch >= patience`, return.",
    ),
    solution=early_stopping,
)
