"""The self-test of the live lab."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Number(
        id="live_lab.effect_of_the_move",
        text="At a snapshot the dev F1 is 0.40. One branch continues from there with α = 1 "
        "and reaches 0.55; another continues with α = 0, for as many steps, and "
        "reaches 0.62. What did the move to α = 1 do to the F1? (A difference, with "
        "its sign.)",
        right=-0.07,
        within=0.004,
        because="0.55 − 0.62 = −0.07. The two branches differ in the move alone, so their "
        "difference is what the move did. The F1 rose after the move because training "
        "continued.",
        wrong=(
            WrongNumber(
                "before-and-after",
                0.15,
                "0.55 − 0.40 is before against after, in one branch. It mixes the move with the "
                "steps that were trained since: without the move the F1 would have risen too.",
            ),
            WrongNumber(
                "effect-of-the-steps",
                0.22,
                "0.62 − 0.40 is what the same number of steps does without the move. What did "
                "the move add to it, or take away?",
            ),
            WrongNumber(
                "wrong-sign",
                0.07,
                "The right two numbers, the wrong sign. What the move did is with the move minus "
                "without it.",
            ),
        ),
        otherwise="Which two of the three numbers come from runs that differ in the move alone?",
    ),
    Question(
        id="live_lab.warm_start",
        text="Expected accuracy alone, from the first step, ends with a model that predicts "
        "O everywhere. The same reward after 40 steps of cross-entropy does not break. "
        "Why?",
        choices=(
            Choice(
                "probability-of-the-right-tag",
                "Its push on a word is p(1 − p), with p the probability of the right tag; "
                "cross-entropy has raised p for names.",
                True,
                "At the start most words are O and O gets the push; a name whose right tag has "
                "hardly any probability gets almost none. Cross-entropy pushes such words "
                "hardest, so after its steps the reward has something to raise.",
            ),
            Choice(
                "gradient-too-long",
                "Its gradient is too long at the start, and the first steps throw the weights "
                "away.",
                False,
                "Clipping and AdamW keep the steps at their usual length, whatever α is. The "
                "trouble is where the gradient points, and which words get next to nothing.",
            ),
            Choice(
                "no-gradient",
                "A reward has no gradient before the model makes its first right guess.",
                False,
                "Expected accuracy is made of probabilities, and these are never quite 0: there "
                "is a gradient from the first step. On a name it is tiny, as it is multiplied by "
                "a tiny probability.",
            ),
            Choice(
                "learning-rate",
                "Cross-entropy makes the learning rate small enough for the reward.",
                False,
                "The two runs have the same learning rate at the same step. What the first steps "
                "changed is the model: the right tags of names now have a probability.",
            ),
        ),
    ),
    Question(
        id="live_lab.run_you_need_most",
        text="A schedule for α beats the best constant α on each of three seeds. You want "
        "to say that the reward did it. Which run do you need most?",
        choices=(
            Choice(
                "same-side-effects",
                "One without the reward that copies what else the schedule changed, such as "
                "small first gradients.",
                True,
                "A schedule changes more than one thing. In this lesson about a third of the "
                "gain over α = 0 came with small first gradients alone, without any reward; only "
                "what is left over can be the reward's.",
            ),
            Choice(
                "more-seeds",
                "The same schedule on ten more seeds.",
                False,
                "More seeds make the interval of the gain narrower: you are more confident that "
                "there is one. They do not show where it comes from, as every seed changes the "
                "same two things together.",
            ),
            Choice(
                "longer-training",
                "The same schedule and the same constants, trained for longer.",
                False,
                "That shows whether the gain lasts, which is worth knowing. It does not separate "
                "the reward from what came along with it.",
            ),
            Choice(
                "none",
                "None: the seeds were the same on both sides, so the comparison is fair.",
                False,
                "It is a fair test of the schedule as a whole. But the claim is about one part "
                "of it, the reward, and the first gradients changed with it: the two are "
                "confounded.",
            ),
        ),
    ),
)
