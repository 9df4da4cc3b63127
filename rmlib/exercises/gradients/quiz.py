"""The self-test on gradients."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Question(
        id="gradients.two_against_one",
        text="You coded a new reward and derived its gradient on paper. On fifty random "
        "batches, in float64, autograd and central differences agree to nine digits; "
        "your formula is 30 % off. What follows?",
        choices=(
            Choice(
                "formula-wrong",
                "The formula is wrong: two against one.",
                False,
                "This isn't a vote. Autograd and central differences run the same code for the "
                "value, so they agree on a wrong reward as well as on a right one. Perhaps your "
                "formula is right, and the code computes another reward.",
            ),
            Choice(
                "formula-or-code",
                "Either the formula is wrong, or the code computes another value than you think.",
                True,
                "Both use the code of the value, so a slip there (a missing factor, a mean for a "
                "sum) affects both. Only the formula is independent. Compute the value by hand "
                "on three items to see which it is.",
            ),
            Choice(
                "autograd-wrong",
                "Autograd is wrong: it knows no formula.",
                False,
                "It needs none: it multiplies the derivatives of small operations. And central "
                "differences, which share no algebra with it, agree. For autograd to be wrong "
                "here, they would have to be wrong by the same amount.",
            ),
            Choice(
                "tolerance",
                "The tolerance is too narrow.",
                False,
                "A tolerance allows for rounding and for truncation, 1e-6 or less in float64. "
                "Nothing of that kind makes 30 %. If you widen a check until it passes, it "
                "passes wrong gradients too.",
            ),
        ),
    ),
    Question(
        id="gradients.wrong_label",
        text="A word has a wrong label, and the model gives that label p_y = 0.01. You go "
        "from α = 0 to the reward alone, with expected accuracy. What happens to the "
        "push of this word, the size of the gradient with respect to the logit of its "
        "label?",
        choices=(
            Choice(
                "grows",
                "It grows by the factor 1 + α p_y, which is large for a large α.",
                False,
                "The factor is that of L, with cross-entropy in it, and p_y makes it small here. "
                "The reward alone has no 1 in its weight: only p_y is left.",
            ),
            Choice(
                "falls",
                "It falls from 0.99 to about 0.01.",
                True,
                "Cross-entropy pushes with 1 − p_y = 0.99, expected accuracy with p_y (1 − p_y) "
                "= 0.0099. It gives up on what looks hopeless. That is good if the label is "
                "wrong, and bad if the word is only hard.",
            ),
            Choice(
                "stays",
                "It stays 0.99: the word is wrong either way.",
                False,
                "Being wrong is not what counts. The weight p_y multiplies the gradient, and "
                "here it is 0.01.",
            ),
            Choice(
                "zero",
                "It becomes exactly 0: accuracy has no gradient.",
                False,
                "Accuracy has none. Expected accuracy, the mean of p_y, is smooth and has one: "
                "p_y (1 − p_y), small but not 0.",
            ),
        ),
    ),
    Number(
        id="gradients.soft_f1_threshold",
        text="You train on soft F1 alone, and F̃ of the batch is 0.6. From which "
        "probability ρ of being positive does a step raise its ŷ?",
        right=0.3,
        within=0.005,
        because="The mean derivative is (2ρ − F̃)/v, and 0 at ρ = F̃/2. As F̃ is at most 1, "
        "the threshold is never above one half: F1 would rather call an item positive.",
        wrong=(
            WrongNumber(
                "accuracy-threshold",
                0.5,
                "One half is the threshold for accuracy. F1 does not count true negatives, so a "
                "positive pays earlier.",
            ),
            WrongNumber(
                "f1-itself",
                0.6,
                "That is F̃ itself. A positive adds 2 to the numerator of F̃, so compare 2ρ with F̃.",
            ),
            WrongNumber(
                "1-minus-half-f1",
                0.7,
                "This looks like 1 − F̃/2. Would F1 ask for more certainty than accuracy does? "
                "It gains by a true positive, and nothing by a true negative.",
            ),
            WrongNumber(
                "1-minus-f1",
                0.4,
                "This looks like 1 − F̃. Write down the mean derivative for a label that is 1 "
                "with probability ρ, and set it to 0.",
            ),
            WrongNumber(
                "twice-f1",
                1.2,
                "A probability is at most 1. The mean derivative has 2ρ − F̃ in the numerator: "
                "which ρ makes it 0?",
            ),
        ),
        otherwise="Write down the derivative of F̃ with respect to ŷ for y = 1 and for y = 0, "
        "take the mean with weights ρ and 1 − ρ, and set it to 0.",
    ),
)
