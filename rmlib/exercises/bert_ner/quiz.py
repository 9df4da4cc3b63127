"""The self-test on a BERT that finds names."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Question(
        id="bert_ner.padding_labelled_o",
        text="A tagger answers O for every token. You pad all sentences to 256 tokens "
        "instead of 128 and label padding O. Which of its scores changes?",
        choices=(
            Choice(
                "accuracy-rises",
                "The accuracy over all positions goes up, entity F1 stays 0",
                True,
                "More positions are padding, each of them an easy O, so the accuracy gets closer "
                "to 1. A name is still never found.",
            ),
            Choice(
                "both-rise",
                "Both go up: there is more to be right about",
                False,
                "Entity F1 counts names, and padding holds none. The names found stay 0, so it "
                "stays 0.",
            ),
            Choice(
                "neither",
                "Neither: padding does not count",
                False,
                "It does not count if its label is −100. Here its label is O, a tag like any "
                "other, and O is what the tagger predicts.",
            ),
            Choice(
                "accuracy-falls",
                "The accuracy goes down: more positions can be wrong",
                False,
                "Each new position is labelled O, and the tagger predicts O: all of them are "
                "right.",
            ),
        ),
    ),
    Number(
        id="bert_ner.strict_entity_f1",
        text="Gold has 4 names. A tagger marks 5: three are right, one has the right type "
        "but begins a word too late, one is spurious. What is its entity F1?",
        right=6 / 9,
        within=0.004,
        because="Right 3, found 5, in gold 4: 2 · 3 / (5 + 4). The name that begins late "
        "counts twice against it: as a found name that is wrong, and as a gold name "
        "that is missing.",
        wrong=(
            WrongNumber(
                "late-name-right",
                8 / 9,
                "You count the name that begins late as right. Strict means: type, start and end.",
            ),
            WrongNumber(
                "precision",
                3 / 5,
                "That is the precision: of the names found, the right ones. It ignores the "
                "missing name.",
            ),
            WrongNumber(
                "recall",
                3 / 4,
                "That is the recall: of the gold names, those that were found. It ignores the "
                "spurious one.",
            ),
            WrongNumber(
                "jaccard",
                3 / 6,
                "That is right / (right + wrong + missing), the Jaccard index. F1 counts what is "
                "right twice.",
            ),
            WrongNumber(
                "arithmetic-mean",
                0.675,
                "That is the plain mean of precision and recall. F1 is their harmonic mean.",
            ),
            WrongNumber(
                "half-a-point",
                7 / 9,
                "You give half a point for the name that begins late. Strict F1 gives none.",
            ),
        ),
        otherwise="Count three numbers: names right, names found, names in gold. Then 2 · right "
        "/ (found + in gold).",
    ),
    Question(
        id="bert_ner.one_seed_interval",
        text="Two runs with the same seed: F1(α = 1) − F1(α = 0) = −.010, and the paired "
        "bootstrap over test sentences gives −.027 to +.006. What may you write?",
        choices=(
            Choice(
                "undecided",
                "On this test set the two runs do not differ clearly, and other seeds have yet "
                "to be tried",
                True,
                "0 is inside the interval, so the choice of test sentences alone can explain "
                "−.010. The interval does not account for the randomness of training: for that "
                "you need more seeds.",
            ),
            Choice(
                "costs-a-point",
                "The reward costs one point of F1",
                False,
                "−.010 is an estimate, and its interval reaches from a loss of 2.7 points to a "
                "gain of 0.6. That is too wide for such a sentence.",
            ),
            Choice(
                "no-effect",
                "The reward has no effect on F1",
                False,
                "That 0 is inside the interval does not show that the difference is 0: a loss of "
                "2 points is inside, too. Absence of evidence is not evidence of absence.",
            ),
            Choice(
                "real",
                "The seed was the same, so the difference comes from α and is real",
                False,
                "The same seed makes the start equal. It does not take away chance: with another "
                "seed, or other test sentences, the same two settings may rank in reverse order.",
            ),
        ),
    ),
)
