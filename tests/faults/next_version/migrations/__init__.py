"""All migrations of the product, and those in this folder."""

from pathlib import Path

import sessions.migrations

_PRODUCT = Path(sessions.migrations.__file__).parent
NEWEST = max(path.stem for path in _PRODUCT.glob("[0-9]*.py"))
__path__.append(str(_PRODUCT))
