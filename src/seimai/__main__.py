"""`python -m seimai` is the command `seimai`."""

from seimai.cli import main

if __name__ == "__main__":
    main()
