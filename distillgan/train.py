"""`python -m distillgan.train`: recordings in, a model file out.

Nothing imports this module: `distillgan.train` is the function of the API.
"""

from distillgan.cli.commands.train_command import train_main as main

if __name__ == "__main__":
    main()
