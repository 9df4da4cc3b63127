"""`python -m rmlib`, and so also `accelerate launch -m rmlib train …`."""

from rmlib.cli import main

main()
