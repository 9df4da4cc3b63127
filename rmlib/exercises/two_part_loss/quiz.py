"""The self-test of lesson 01."""

from rmlib.exercises.framework.quiz import Choice, Number, Question

QUESTIONS = (
    Number(
        "A batch is computed in two halves. The first has TP = 1 and neither FP nor FN, so its F1 is 1. The second has "
        "TP = 1, FP = 3 and FN = 5, so its F1 is 2 / 10 = 0.2. What is the F1 of the whole batch?",
        right=1 / 3,
        within=0.005,
        because="Count first, divide once: TP = 2, FP = 3, FN = 5, so F1 = 4 / (4 + 3 + 5). One right answer in "
        "the first half cannot make up for eight mistakes in the second.",
        wrong=(
            (
                0.6,
                "That is the mean of 1 and 0.2, the mistake of E2: it gives a half with 1 item as much say as one with "
                "9. Add up the counts of both halves first.",
            ),
            (
                0.28,
                "That is a mean of 1 and 0.2, weighted by 1 and 9 items. The weights that would be right are what "
                "stands below the line, 2 and 10. It is easier to add up the counts first.",
            ),
            (0.2, "Did you forget the TP of the first half? Or count TP once only? F1 is 2TP / (2TP + FP + FN)."),
            (0.4, "TP counts twice below the line, too: F1 is 2TP / (2TP + FP + FN)."),
        ),
        otherwise="Add up TP, FP and FN over both halves, and put the three sums into 2TP / (2TP + FP + FN).",
    ),
    Question(
        "A model is so large that it can get every training item right, and be sure of it. You train it to the very "
        "end with α = 0 and with α = 10, and L_r = 1 − soft F1. How do the two differ on the training items?",
        (
            Choice(
                "Hardly at all: both come to the same end, perhaps at another speed",
                True,
                "Where everything can be right, L_p and L_r are lowest at the same place. α changes the way there. It "
                "changes the end only where not everything can be right.",
            ),
            Choice(
                "With α = 10 its F1 is clearly higher, because it was trained for F1",
                False,
                "Higher than what? With α = 0 every item is right already, and the F1 is 1. In E3 the two repaired "
                "runs ended with all ten items right.",
            ),
            Choice(
                "With α = 10 it says yes more often",
                False,
                "That was so where items could not be told apart: then a yes to all beats a no to all. This model can "
                "tell all of them apart, and a yes in the wrong place lowers the soft F1.",
            ),
            Choice(
                "With α = 10 it is worse in L_p, because L_p has less weight",
                False,
                "A smaller share of the loss is a price only where the two parts want different things. Here both want "
                "ŷ = y.",
            ),
        ),
    ),
    Question(
        "On a task with few positives, F1 on the dev items rises from 0.44 with α = 0 to 0.55 with α = 1. What do you "
        "do first, before you say that the reward has taught the model something?",
        (
            Choice(
                "Tune the decision threshold of the model with α = 0, and compare with its F1",
                True,
                "In this lesson that gave the whole gain, at a better L_p. A soft F1 moves ŷ up where the chance of a "
                "positive is above half of it, and so does a lower threshold.",
            ),
            Choice(
                "Train once more with α = 10, to see whether F1 rises further",
                False,
                "It would tell how much α is best, not what α does. If all that it does is to say yes more often, you "
                "can have that without training.",
            ),
            Choice(
                "See whether the training loss is lower with α = 1",
                False,
                "The two losses are not the same function, so their values cannot be compared. And E1 showed that a "
                "falling loss proves nothing.",
            ),
            Choice(
                "Look at the accuracy: if it rises as well, the model has learnt something",
                False,
                "With few positives accuracy is high for a model that says no to all. In this lesson it fell a little "
                "while F1 rose, and both came from a threshold that moved.",
            ),
        ),
    ),
)
