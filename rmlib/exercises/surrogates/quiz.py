"""The self-test on rewards that one can train on."""

from rmlib.exercises.framework.quiz import Choice, Question

QUESTIONS = (
    Question(
        id="surrogates.splitting_a_batch",
        text="A batch of 256 does not fit into memory. You split it into 16 parts of 16, "
        "compute the reward loss of each part, and take the mean of the 16 gradients. "
        "With which reward is this the gradient of the whole batch?",
        choices=(
            Choice(
                "expected-accuracy",
                "expected_accuracy",
                True,
                "Yes. It is a mean over items, and the mean of the means of equal parts is the "
                "mean of all items.",
            ),
            Choice(
                "soft-f1",
                "soft_f1",
                False,
                "It is a ratio of counts. The mean of 16 ratios is not the ratio of the 16 sums, "
                "and its gradient points elsewhere, by 21° in this lesson. Add up the counts of "
                "all parts first.",
            ),
            Choice(
                "smooth-ap",
                "smooth_ap",
                False,
                "A rank depends on all items of the batch. Inside a part of 16 an item is "
                "compared with 15 others and not with 255, so each part has other ranks.",
            ),
            Choice(
                "all-three",
                "all three: a gradient is linear",
                False,
                "A gradient is linear in the loss: the gradient of a mean of losses is the mean "
                "of their gradients. But the loss of the whole batch has to be that mean first, "
                "and for a ratio or a ranking it is not.",
            ),
        ),
    ),
    Question(
        id="surrogates.hard_inputs",
        text="A colleague's new surrogate equals F1 exactly on every hard input, where all "
        "probabilities are 0 or 1. What do you know about training with it?",
        choices=(
            Choice(
                "same-as-soft-f1",
                "it trains like soft F1",
                False,
                "Dice with squares passes the same test. Trained on alone, it settles at ρ/R, and "
                "soft F1 at 0 or 1.",
            ),
            Choice(
                "little",
                "little: what matters is how it behaves between 0 and 1",
                True,
                "Yes. The test finds a wrong formula. Where ŷ settles is decided between the hard "
                "inputs: plot it for one item, and train a few groups.",
            ),
            Choice(
                "probabilities",
                "its ŷ will be probabilities, since it is exact",
                False,
                "Soft F1 passes this test, and it pushes ŷ to 0 or 1 on the two sides of a "
                "threshold: its ŷ are no probabilities.",
            ),
            Choice(
                "gradient",
                "it has no gradient, as F1 has none",
                False,
                "On the hard inputs alone you can't see a gradient. Soft F1 equals F1 there, too, "
                "and has one.",
            ),
        ),
    ),
    Question(
        id="surrogates.one_data_set",
        text="Your new loss beats a tuned threshold by 0.03 in F1: 60 random splits of one data "
        "set, 95 % interval over the splits 0.02 to 0.04. What may you conclude?",
        choices=(
            Choice(
                "these-items",
                "it is better on the items of this data set",
                True,
                "Yes. For other items of the same kind, ask how much the result changes when a "
                "tenth of the items, or a few special ones, are left out.",
            ),
            Choice(
                "any-items",
                "it is better for items of this kind: the interval excludes 0",
                False,
                "The splits share their items. More of them make this interval as narrow as you "
                "like, and none brings a new item. In this lesson the interval over items "
                "contains 0.",
            ),
            Choice(
                "more-splits",
                "with 600 splits it would be safe",
                False,
                "That makes the interval over splits narrower. All 600 share one set of items.",
            ),
            Choice(
                "threshold",
                "all of the gain is a better threshold",
                False,
                "The control has a tuned threshold already. In this lesson something else made "
                "the gain: three unusual items.",
            ),
        ),
    ),
)
