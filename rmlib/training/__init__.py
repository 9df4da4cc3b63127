"""Training a tagger: settings, the training loop, checkpoints, whole runs, and training under live
controls.
"""
