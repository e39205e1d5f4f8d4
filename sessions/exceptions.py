"""The domain's errors. Doors translate them; nothing below the doors knows HTTP.

    KodaError
    ├── NotFound          no such record, or none that this caller may see
    ├── InvalidRequest    the input says something that cannot be (carries the fields)
    ├── Unauthorized      nobody we know
    ├── Forbidden         known and visible, yet not allowed
    ├── Conflict          true to the rules, yet too late or already otherwise
    ├── TooLarge          over a stated limit
    ├── RateLimited       too many in a minute (carries seconds to wait)
    └── Unavailable       the store cannot answer now (carries seconds to wait)

Each class has a `code`, the word of API.md section 1 that clients branch on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `field` is a dotted path such as `messages.3.role`."""

    field: str
    message: str


class KodaError(Exception):
    """Base of every error that a door may show to its caller."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        """Keep `detail`: one sentence for people, without secrets and without other people's data."""
        super().__init__(detail)
        self.detail = detail


class NotFound(KodaError):
    """There is no such record, or none that this caller may see; the two look alike on purpose."""

    code = "not_found"


class InvalidRequest(KodaError):
    """The input cannot be accepted; nothing of it was stored."""

    code = "invalid_request"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        """Keep the sentence and the fields it is about."""
        super().__init__(detail)
        self.errors = tuple(errors)

    @classmethod
    def field(cls, field: str, message: str) -> "InvalidRequest":
        """Return the error for one field."""
        return cls(f"{field}: {message}", errors=[FieldError(field, message)])

    def within(self, place: str) -> list[FieldError]:
        """Return the fields as they stand in a larger input, such as `events.3`."""
        return [FieldError(f"{place}.{error.field}", error.message) for error in self.errors]


class Unauthorized(KodaError):
    """The caller has shown no key or session that we know."""

    code = "unauthorized"


class Forbidden(KodaError):
    """The caller may see the record but not do this with it."""

    code = "forbidden"


class Conflict(KodaError):
    """The record is already otherwise: answered, taken, changed since."""

    code = "conflict"


class TooLarge(KodaError):
    """A body or a field is over its limit; the detail names the limit."""

    code = "too_large"


class RateLimited(KodaError):
    """The caller came too often."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        """Keep how many seconds the caller should wait."""
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(KodaError):
    """The store cannot answer now; the same request may succeed later."""

    code = "unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        """Keep how many seconds the caller should wait."""
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
