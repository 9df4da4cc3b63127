"""The self-test on the two-part loss."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Number(
        id="two_part_loss.f1_of_two_halves",
        text="A batch is computed in two halves. The first has TP = 1 and neither FP nor "
        "FN, so its F1 is 1. The second has TP = 1, FP = 3 and FN = 5, so its F1 is 2 "
        "/ 10 = 0.2. What is the F1 of the whole batch?",
        right=1 / 3,
        within=0.005,
        because="Count first, divide once: TP = 2, FP = 3, FN = 5, so F1 = 4 / (4 + 3 + 5). "
        "One right answer in the first half cannot make up for eight mistakes in the "
        "second.",
        wrong=(
            WrongNumber(
                "mean-of-halves",
                0.6,
                "That is the mean of 1 and 0.2, the mistake of E2: it gives a half with 1 item "
                "as much weight as one with 9. Add up the counts of both halves first.",
            ),
            WrongNumber(
                "mean-weighted-by-items",
                0.28,
                "That is a mean of 1 and 0.2, weighted by 1 and 9 items. The right weights are "
                "the denominators, 2 and 10. It is easier to add up the counts first.",
            ),
            WrongNumber(
                "second-half",
                0.2,
                "Did you forget the TP of the first half? Or count TP once only? F1 is 2TP / "
                "(2TP + FP + FN).",
            ),
            WrongNumber(
                "counts-tp-once",
                0.4,
                "TP counts twice in the denominator, too: F1 is 2TP / (2TP + FP + FN).",
            ),
        ),
        otherwise="Add up TP, FP and FN over both halves, and put the three sums into 2TP / (2TP "
        "+ FP + FN).",
    ),
    Question(
        id="two_part_loss.alpha_at_the_end",
        text="A model is so large that it can get every training item right, and be "
        "confident in it. You train it to convergence with α = 0 and with α = 10, and "
        "L_r = 1 − soft F1. How do the two differ on the training items?",
        choices=(
            Choice(
                "same-end",
                "Hardly at all: both converge to the same end, perhaps at another speed",
                True,
                "Where everything can be right, L_p and L_r have the same minimum. α changes the "
                "path to it. It changes the end only where not everything can be right.",
            ),
            Choice(
                "higher-f1",
                "With α = 10 its F1 is clearly higher, because it was trained for F1",
                False,
                "Higher than what? With α = 0 every item is right already, and the F1 is 1. So it "
                "was for the ten free logits of Part 4.",
            ),
            Choice(
                "yes-more-often",
                "With α = 10 it says yes more often",
                False,
                "That was so where items could not be told apart: then a yes to all beats a no "
                "to all. This model can tell all of them apart, and a yes in the wrong place "
                "lowers the soft F1.",
            ),
            Choice(
                "worse-l_p",
                "With α = 10 it is worse in L_p, because L_p has less weight",
                False,
                "A smaller share of the loss is a price only where the two parts want different "
                "things. Here both want ŷ = y.",
            ),
        ),
    ),
    Question(
        id="two_part_loss.before_crediting_the_reward",
        text="On a task with few positives, F1 on the dev items rises from 0.44 with α = 0 "
        "to 0.55 with α = 1. What do you do first, before you say that the reward has "
        "taught the model something?",
        choices=(
            Choice(
                "tune-the-threshold",
                "Tune the decision threshold of the model with α = 0, and compare with its F1",
                True,
                "In this lesson that gave more than α = 1 did, and kept the L_p of plain training. "
                "A soft F1 raises ŷ where the chance of a positive is above half of it; a lower "
                "threshold needs no other training.",
            ),
            Choice(
                "larger-alpha",
                "Train once more with α = 10, to see whether F1 rises further",
                False,
                "It would show which α is best, not what α does. If it only says yes more often, "
                "you can have that without training.",
            ),
            Choice(
                "training-loss",
                "See whether the training loss is lower with α = 1",
                False,
                "The two losses are not the same function, so their values cannot be compared. "
                "And E1 showed that a falling loss proves nothing.",
            ),
            Choice(
                "accuracy",
                "Look at the accuracy: if it rises as well, the model has learnt something",
                False,
                "With few positives accuracy is high for a model that says no to all, and a lower "
                "threshold can raise F1 while accuracy falls.",
            ),
        ),
    ),
)
