"""The self-test of lesson 04."""

from rmlib.exercises.framework.quiz import Choice, Number, Question

QUESTIONS = (
    Question(
        "A tagger answers O for every piece. You fill up all sentences to 256 pieces in place of 128 and label padding "
        "O. Which of its scores changes?",
        (
            Choice(
                "The accuracy over all positions goes up, entity F1 stays 0",
                True,
                "More positions are padding, each of them an easy O, so the accuracy comes nearer to 1. A name is "
                "still never found.",
            ),
            Choice(
                "Both go up: there is more to be right about",
                False,
                "Entity F1 counts names, and padding holds none. The names found stay 0, so it stays 0.",
            ),
            Choice(
                "Neither: padding does not count",
                False,
                "It does not count if its label is −100. Here its label is O, a tag like any other, and O is what the "
                "tagger says.",
            ),
            Choice(
                "The accuracy goes down: more positions can be wrong",
                False,
                "Each new position is labelled O, and the tagger says O: all of them are right.",
            ),
        ),
    ),
    Number(
        "Gold has 4 names. A tagger marks 5: three are right, one has the right type but begins a word too late, one "
        "is invented. What is its entity F1?",
        right=6 / 9,
        within=0.004,
        because="Right 3, found 5, in gold 4: 2 · 3 / (5 + 4). The name that begins late counts twice against it: as a "
        "found name that is wrong, and as a gold name that is missed.",
        wrong=(
            (8 / 9, "You count the name that begins late as right. Strict means: type, start and end."),
            (3 / 5, "That is the precision: of the names found, the right ones. The missed name does not show in it."),
            (3 / 4, "That is the recall: of the gold names, those that were found. The invented one does not show."),
            (3 / 6, "That is right / (right + wrong + missed), the Jaccard index. F1 counts what is right twice."),
            (0.675, "That is the plain mean of precision and recall. F1 is their harmonic mean."),
            (7 / 9, "You give half a point for the name that begins late. Strict F1 gives none."),
        ),
        otherwise="Count three numbers: names right, names found, names in gold. Then 2 · right / (found + in gold).",
    ),
    Question(
        "Two runs with the same seed: F1(α = 1) − F1(α = 0) = −.010, and the paired bootstrap over test sentences "
        "gives −.027 to +.006. What may you write?",
        (
            Choice(
                "On this test set the two runs do not differ clearly, and other seeds are still to be tried",
                True,
                "0 is inside the interval, so the choice of test sentences alone can explain −.010. The interval knows "
                "nothing of the luck of a training: for that you need more seeds.",
            ),
            Choice(
                "The reward costs one point of F1",
                False,
                "−.010 is an estimate, and its interval reaches from a loss of 2.7 points to a gain of 0.6. That is "
                "too wide for such a sentence.",
            ),
            Choice(
                "The reward has no effect on F1",
                False,
                "That 0 is inside the interval does not show that the difference is 0: a loss of 2 points is inside, "
                "too. Not seen is not the same as not there.",
            ),
            Choice(
                "The seed was the same, so the difference comes from α and is real",
                False,
                "The same seed makes the start equal. It does not take away chance: with another seed, or other test "
                "sentences, the same two settings may come out the other way round.",
            ),
        ),
    ),
)
