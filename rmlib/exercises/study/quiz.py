"""The self-test of the study of rewards."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Question(
        id="study.interval_around_0",
        text="A reward gains +.004 F1 over cross-entropy; the 95 % interval runs from -.006 "
        "to +.014. What do you report?",
        choices=(
            Choice(
                "helps",
                "the reward helps",
                False,
                "The interval contains 0: such runs may occur without any help.",
            ),
            Choice(
                "does-nothing",
                "the reward does nothing",
                False,
                "It also contains +.014. Absence of evidence for a gain is no evidence of no gain.",
            ),
            Choice(
                "undecided",
                "undecided: a loss of half a point to a gain of a point and a half",
                True,
                "The interval is the result. Whether a point and a half would matter to you is "
                "the next question.",
            ),
        ),
    ),
    Question(
        id="study.best_of_15",
        text="You tried 15 settings on five seeds, and the best has the highest test F1 of "
        "all. What does that F1 tell you?",
        choices=(
            Choice(
                "its-f1-on-new-text",
                "how well this setting does on new text",
                False,
                "The largest of 15 is lucky as well as good.",
            ),
            Choice(
                "more-than-on-new-text",
                "more than it will do on new text",
                True,
                "It was selected for its luck on this test set, too. Pick on dev, then look at "
                "test once.",
            ),
            Choice(
                "nothing",
                "nothing at all",
                False,
                "It is too high on average: a fair score of the setting is mostly lower.",
            ),
        ),
    ),
    Number(
        id="study.false_findings",
        text="15 settings are each compared with cross-entropy at 95 %, and none of them "
        "truly differs. How many of the 15 intervals leave out 0, on average?",
        right=0.75,
        within=0.051,
        because="15 × .05 = .75: at least one false finding in about half of such studies. "
        "Simultaneous intervals are wider.",
        wrong=(
            WrongNumber(
                "none",
                0.0,
                "That would need infinite intervals: each of them is wrong one time in twenty.",
            ),
            WrongNumber(
                "all",
                15.0,
                "Each leaves out 0 only one time in twenty when nothing is there.",
            ),
            WrongNumber(
                "percentage",
                5.0,
                "That is a percentage; of 15 comparisons, 5 % are how many?",
            ),
        ),
        otherwise="One comparison in twenty goes wrong when nothing is there: multiply.",
    ),
)
