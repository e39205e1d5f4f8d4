"""Ask a function of ours in the product's settings: `python -m benchmarks.inproduct MODULE FUNCTION …`.

The arguments are JSON, and so is what it prints.
"""

import json
import os
import sys
from importlib import import_module

import django


def main() -> None:
    """Set up Django, then import the module, which may take from it what it needs, and call the function."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")
    django.setup()
    _, module, function, *arguments = sys.argv
    print(json.dumps(getattr(import_module(f"benchmarks.{module}"), function)(*map(json.loads, arguments))))


if __name__ == "__main__":
    main()
