"""`python -m rmlib`, and so also `accelerate launch -m rmlib train …`."""

from .cli import main

main()
