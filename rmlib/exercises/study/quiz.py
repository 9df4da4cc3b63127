"""The self-test of lesson 07."""

from rmlib.exercises.framework.quiz import Choice, Number, Question

QUESTIONS = (
    Question(
        "A reward gains +.004 F1 over cross-entropy; the 95 % interval runs from -.006 to +.014. What do you report?",
        (
            Choice("the reward helps", False, "The interval holds 0: such runs may come about without any help."),
            Choice("the reward does nothing", False, "It also holds +.014. No proof of a gain is no proof of none."),
            Choice(
                "undecided: a loss of half a point to a gain of a point and a half",
                True,
                "The interval is the result. Whether a point and a half would matter to you is the next question.",
            ),
        ),
    ),
    Question(
        "You tried 15 settings on five seeds, and the best has the highest test F1 of all. What does that F1 tell you?",
        (
            Choice("how well this setting does on new text", False, "The largest of 15 is lucky as well as good."),
            Choice(
                "more than it will do on new text",
                True,
                "It was picked for its luck on this test set, too. Pick on dev, then look at test once.",
            ),
            Choice("nothing at all", False, "It is too high on average: a fair score of the setting is mostly lower."),
        ),
    ),
    Number(
        "15 settings are each compared with cross-entropy at 95 %, and none of them truly differs. How many of the 15 "
        "intervals leave out 0, on average?",
        0.75,
        0.051,
        "15 × .05 = .75: a false find or more in about half of such studies. Intervals that hold together are wider.",
        (
            (0.0, "That would need intervals without end: each of them is wrong one time in twenty."),
            (15.0, "Each leaves out 0 only one time in twenty when nothing is there."),
            (5.0, "That is a percentage; of 15 comparisons, 5 % are how many?"),
        ),
        "One comparison in twenty goes wrong when nothing is there: multiply.",
    ),
)
