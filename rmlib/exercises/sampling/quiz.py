"""The self-test on rewards that one can only sample."""

from rmlib.exercises.framework.quiz import Choice, Number, Question, WrongNumber

QUESTIONS = (
    Number(
        id="sampling.mean_baseline_factor",
        text="You train with samples, K = 4, and the baseline “mean” (all four rewards, the "
        "sample's own included). By what number must you multiply α, so that the mean "
        "gradient of the reward is that of the baseline leave-one-out?",
        right=4 / 3,
        within=0.04,
        because="Yes, 4/3. With “mean” the gradient is shrunk to (K − 1)/K = 3/4 of itself, "
        "and 4/3 · 3/4 = 1. Nothing else differs: the direction and the relative noise "
        "are the same.",
        wrong=(
            WrongNumber(
                "shrinkage",
                0.75,
                "3/4 is the length of the gradient with “mean”. What brings 3/4 back to 1?",
            ),
            WrongNumber(
                "no-difference",
                1.0,
                "Their expectations differ. With “mean” a part of each reward is subtracted from "
                "itself, which makes the gradient too short.",
            ),
            WrongNumber(
                "k",
                4.0,
                "The sample's own reward is one of four in its baseline: a quarter is lost, not "
                "three quarters.",
            ),
            WrongNumber(
                "lost-part",
                0.25,
                "A quarter is what is lost. What is left, and what brings it back to 1?",
            ),
            WrongNumber(
                "k-of-2",
                2.0,
                "That is right for K = 2, where half of the gradient is lost. With K = 4 the "
                "sample's own reward is only one of four.",
            ),
        ),
        otherwise="Compare R_k minus the mean of all K rewards with R_k minus the mean of the "
        "others: by which factor do they differ, for K = 4?",
    ),
    Question(
        id="sampling.all_samples_wrong",
        text="A tagger gives the right tag of a word the probability 0.001 and is confident "
        "in a wrong one. You train on sampled accuracy alone: one word, K = 8, "
        "leave-one-out. What happens in nearly every step?",
        choices=(
            Choice(
                "zero-gradient",
                "Nothing: the gradient is exactly zero.",
                True,
                "Yes. All eight samples are wrong and have the same reward, so every advantage "
                "is 0. Only when a right answer is drawn, in one step of 125, is there something "
                "to learn. Cross-entropy pushes hardest just here: keep it in the loss.",
            ),
            Choice(
                "large-gradient",
                "The gradient is large, because the model is badly wrong.",
                False,
                "That is cross-entropy, whose derivative is p − 1. Sampling learns from "
                "differences between samples, and eight wrong answers do not differ.",
            ),
            Choice(
                "wrong-ones-pushed-down",
                "The wrong answers are pushed down, and so the right one rises.",
                False,
                "The advantage of a wrong answer is 0 minus the mean of the others. If the "
                "others are wrong, too, that is 0 − 0: nothing is pushed down. With the baseline "
                "“none” it is 0 as well.",
            ),
            Choice(
                "only-slower",
                "The gradient is unbiased, so training is only a little slower.",
                False,
                "It is unbiased. But its mean is small, p(1 − p), about 0.001, and it comes in "
                "rare jumps: 0 in 99 of 100 steps. “Unbiased” says nothing about how long you "
                "wait.",
            ),
        ),
    ),
    Question(
        id="sampling.loss_rises",
        text="You train with the score-function loss and leave-one-out. Over an hour the loss goes "
        "from −0.5 to −0.1. Is the model getting worse?",
        choices=(
            Choice(
                "value-says-nothing",
                "The loss can't say: look at the mean reward of the samples.",
                True,
                "Yes. The loss is minus the covariance between the rewards and the "
                "log-probabilities of the samples. It goes back to 0 as the samples come to "
                "agree, on right answers or on wrong ones; only the reward tells which.",
            ),
            Choice(
                "worse",
                "Yes: a loss that rises means that training fails.",
                False,
                "That holds for a loss whose value is what you want to be small. Here only the "
                "gradient has a meaning: in the lesson the loss came back while the reward rose.",
            ),
            Choice(
                "learning-rate",
                "Yes: the learning rate is too high, and the optimizer has left the minimum.",
                False,
                "There is no minimum to leave: with the advantages held constant, the function "
                "changes with every draw, and its value is not what is minimised.",
            ),
            Choice(
                "better",
                "No: the closer this loss is to 0, the better the model.",
                False,
                "It is also 0 where all samples agree on a wrong answer, and at the very start, "
                "where a model gives every answer the same probability.",
            ),
        ),
    ),
)
