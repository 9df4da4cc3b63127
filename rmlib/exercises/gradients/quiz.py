"""The questions of lesson 02's self-test."""

from rmlib.exercises.framework.quiz import Choice, Number, Question

QUESTIONS = (
    Question(
        "You coded a new reward and derived its slope on paper. On fifty random batches, in float64, autograd and "
        "central differences agree to nine digits; your formula is 30 % off. What follows?",
        (
            Choice(
                "The formula is wrong: two against one.",
                False,
                "This is no vote. Autograd and differences run the same code for the value, so they agree on a wrong "
                "reward as well as on a right one. Perhaps your formula is right, and the code computes another "
                "reward.",
            ),
            Choice(
                "Either the formula is wrong, or the code computes another value than you think.",
                True,
                "Both use the code of the value, so a slip there (a missing factor, a mean for a sum) moves them "
                "together. Only the formula comes from elsewhere. Compute the value by hand on three items to see "
                "which it is.",
            ),
            Choice(
                "Autograd is wrong: it knows no formula.",
                False,
                "It needs none: it multiplies the slopes of small operations. And differences, which share no algebra "
                "with it, agree. For autograd to be wrong here, the differences would have to be wrong by the same "
                "amount.",
            ),
            Choice(
                "The tolerance is too narrow.",
                False,
                "A tolerance is there for rounding and for the curve, 1e-6 or less in float64. Nothing of that kind "
                "makes 30 %. If you widen a check until it passes, it passes wrong slopes too.",
            ),
        ),
    ),
    Question(
        "A word has a wrong label, and the model gives that label p_y = 0.01. You go from α = 0 to the reward alone, "
        "with expected accuracy. What happens to the push of this word, the size of the slope on the logit of its "
        "label?",
        (
            Choice(
                "It grows by the factor 1 + α p_y, which is large for a large α.",
                False,
                "The factor is that of L, with cross-entropy in it, and p_y makes it small here. The reward alone has "
                "no 1 in its weight: only p_y is left.",
            ),
            Choice(
                "It falls from 0.99 to about 0.01.",
                True,
                "Cross-entropy pushes with 1 − p_y = 0.99, expected accuracy with p_y (1 − p_y) = 0.0099. It gives up "
                "on what looks hopeless. That is good if the label is wrong, and bad if the word is only hard.",
            ),
            Choice(
                "It stays 0.99: the word is wrong either way.",
                False,
                "Being wrong is not what counts. The weight p_y multiplies the slope, and here it is 0.01.",
            ),
            Choice(
                "It becomes exactly 0: accuracy has no slope.",
                False,
                "Accuracy has none. Expected accuracy, the mean of p_y, has a smooth one: p_y (1 − p_y), small but not "
                "0.",
            ),
        ),
    ),
    Number(
        "You train on soft F1 alone, and F̃ of the batch is 0.6. From which probability ρ of being positive is an item "
        "pulled up?",
        right=0.3,
        within=0.005,
        because="The mean slope is (2ρ − F̃)/S, and 0 at ρ = F̃/2. As F̃ is at most 1, the line is never above one "
        "half: F1 would rather call an item positive.",
        wrong=(
            (0.5, "One half is the line for accuracy. F1 does not count true negatives, so a positive pays earlier."),
            (0.6, "That is F̃ itself. A positive adds 2 above the line of F̃, so compare 2ρ with F̃."),
            (
                0.7,
                "This looks like 1 − F̃/2. Would F1 ask for more certainty than accuracy does? It gains by a true "
                "positive, and nothing by a true negative.",
            ),
            (
                0.4,
                "This looks like 1 − F̃. Write down the mean slope over a label that is 1 with probability ρ, and set "
                "it to 0.",
            ),
            (1.2, "A probability is at most 1. The mean slope has 2ρ − F̃ above the line: which ρ makes it 0?"),
        ),
        otherwise="Write down the slope of F̃ over ŷ for y = 1 and for y = 0, take the mean with weights ρ and 1 − ρ, "
        "and set it to 0.",
    ),
)
