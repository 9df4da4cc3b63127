"""Under pytest the lessons run small. Their kernels inherit these settings."""

import os

os.environ.setdefault("RMLIB_PROFILE", "quick")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
