"""The self-test of the sentiment case."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Question(
        id="sentiment.tuned_threshold",
        text="With 5 % positives, training on cross-entropy plus soft F1 gives an F1 of .62 "
        "at the threshold .5; cross-entropy alone gives .57, and .63 with a threshold "
        "that was tuned on validation. What follows?",
        choices=(
            Choice(
                "better-model",
                "Soft F1 makes a better model where a class is rare",
                False,
                "That would be so if nothing simpler did the same. The gain over cross-entropy "
                "at .5 is real, but tuning the threshold brings it too, with the very model that "
                "soft F1 is said to improve.",
            ),
            Choice(
                "no-sign-of-one",
                "What soft F1 gains over .5, a tuned threshold gains too: no sign of a better "
                "model",
                True,
                "A rare class first needs another balance between false negatives and false "
                "positives. Threshold, class weights and soft F1 all shift it. Only a gain over "
                "the tuned control would be evidence for the reward, or a better average "
                "precision, which has no threshold.",
            ),
            Choice(
                "threshold-better",
                "A tuned threshold is better than soft F1",
                False,
                "By .01, with no interval. Two numbers without one say nothing about so small a "
                "difference, in either direction.",
            ),
            Choice(
                "leak",
                "Nothing: a threshold that is tuned on validation is a leak",
                False,
                "To choose on validation is what validation is for. It would be a leak on the "
                "test part.",
            ),
        ),
    ),
    Question(
        id="sentiment.undecided",
        text="A reward minus the strongest control, on 5 seeds: −.010, and the 95 % "
        "interval goes from −.110 to +.090. What do you write, and what would make the "
        "interval narrower?",
        choices=(
            Choice(
                "no-difference",
                "There is no difference; 20,000 draws instead of 2,000 would show it better",
                False,
                "An interval that contains 0 does not say that the difference is 0: +.09 is as "
                "possible as −.11. And more draws only make its ends more stable, not closer to "
                "each other: they contain no new tweets.",
            ),
            Choice(
                "loses",
                "The reward loses by one point; nothing more is needed",
                False,
                "−.010 is the best guess, and it may be off by ten points either way. It says "
                "nothing about the sign.",
            ),
            Choice(
                "undecided",
                "Undecided: it may lose 11 points or win 9; more seeds and test tweets would help",
                True,
                "The interval says what the table can exclude: here only very large effects. Its "
                "width comes from how few positives and seeds there are, and only more of those "
                "makes it narrower.",
            ),
            Choice(
                "lower-confidence",
                "Undecided; an interval at 80 % would be narrow enough to decide",
                False,
                "It would be narrower, and wrong one time in five. A confidence that is lowered "
                "after looking decides nothing.",
            ),
        ),
    ),
    Number(
        id="sentiment.false_findings",
        text="You compare 20 rewards with a control in 2 conditions, each with its own 95 % "
        "interval. Suppose that no reward has any effect. How many of the 40 intervals "
        "leave out 0, on average?",
        right=2.0,
        within=0.001,
        because="Each misses with a chance of .05, and 40 × .05 = 2. These two look like "
        "findings, and the best of 40 always looks good. Bonferroni's intervals, at 1 "
        "− .05/40, are all right at once in at least 19 of 20 studies.",
        wrong=(
            WrongNumber(
                "none",
                0.0,
                "A 95 % interval leaves out the truth one time in twenty, and there are 40 of "
                "them.",
            ),
            WrongNumber(
                "one-interval",
                0.05,
                "That is the chance for one interval. There are 40.",
            ),
            WrongNumber(
                "one-condition",
                1.0,
                "One in twenty, and there are 40: two conditions with 20 each.",
            ),
            WrongNumber(
                "complement",
                38.0,
                "That is how many contain 0. How many leave it out?",
            ),
            WrongNumber(
                "bonferroni",
                0.00125,
                "That is Bonferroni's share for each interval, .05/40. Here each has its own .05.",
            ),
        ),
        otherwise="Each interval leaves out the truth with a chance of .05. How many do so out "
        "of 40?",
    ),
)
