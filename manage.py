#!/usr/bin/env python3
"""Run a command of Koda Web from a checkout; ``koda-web`` is the same from an installation."""

from koda_web.cli import main

if __name__ == "__main__":
    main()
