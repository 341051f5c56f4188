"""`python -m hermes` is `hermes`; `accelerate launch -m hermes` runs it in many processes."""

from hermes.cli import main

main()
