"""`python -m reflex.cli`, for when another package has taken the `reflex` script."""

from reflex.cli.main import main

main()
