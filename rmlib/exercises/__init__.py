"""The checks behind the exercises, one folder per topic.

from rmlib.exercises.two_part_loss.exercises import check

check.q1(bce_from_logits)     # correct, not yet, or not attempted, and why
check.q1.hint()               # the first hint, then the second
check.q1.solution()           # one way to do it
"""
