"""`python -m distillgan.ui`."""

from distillgan.ui import main

if __name__ == "__main__":
    main()
