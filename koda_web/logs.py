"""How the log looks: lines for people, or one JSON object a line for machines."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from koda_web.failures import is_of_database

_LONGEST_COMPLAINT = 300
"""Characters of what is said of a request that was refused: a stranger chooses some of them."""
_FAULTS_OF_OURS = 500
"""Statuses from here on are the server's own failures."""


def _refuse_in_one_line(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave out where in the code a request was refused, which strangers could have written as often as they like."""
    if isinstance(status := event.get("status_code"), int) and status < _FAULTS_OF_OURS:
        event.pop("exc_info", None)
        event["event"] = str(event["event"])[:_LONGEST_COMPLAINT]
    return event


def _in_a_thread(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


_Kind = tuple[str, int, str, type[BaseException] | None]
"""Logger, level, what the program says, and of a failure its kind."""


class Dampened(logging.Filter):
    """Lets one line of a kind through in `seconds`, and then says how many more there were.

    A kind is what the program says, without what it fills in: strangers decide how often that comes. A failure with a
    traceback always passes.
    """

    def __init__(
        self, *, seconds: float = 60, later: Callable[[float, Callable[[], None]], None] = _in_a_thread
    ) -> None:
        super().__init__()
        self._seconds = seconds
        self._later = later
        self._left_out: dict[_Kind, int] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is the first of its kind for a while."""
        return bool(record.exc_info) or self._is_first(record)

    def _is_first(self, record: logging.LogRecord, because_of: type[BaseException] | None = None) -> bool:
        kind = (record.name, record.levelno, _template(record), because_of)
        with self._lock:
            if kind in self._left_out:
                self._left_out[kind] += 1
                return False
            self._left_out[kind] = 0
        self._later(self._seconds, partial(self._sum_up, kind, record))
        return True

    def _sum_up(self, kind: _Kind, first: logging.LogRecord) -> None:
        with self._lock:
            count = self._left_out.pop(kind)
        if count:
            text = f"{first.getMessage()} - and {count:,} more such lines in {self._seconds:.0f} s"
            again = logging.makeLogRecord({"name": first.name, "levelno": first.levelno, "msg": text})
            again.levelname = first.levelname
            logging.getLogger(first.name).callHandlers(again)


class StoreAway(Dampened):
    """Lets one failure of a kind through in a while when the database or Redis did not answer; all else passes.

    Every request and every job then fails for the same reason, and their tracebacks say nothing new.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is another failure, or the first of its kind for a while."""
        error = record.exc_info[1] if record.exc_info else None
        return error is None or not _is_of_a_store(error) or self._is_first(record, type(error))


def _is_of_a_store(error: BaseException) -> bool:
    """Say whether a database or Redis failed by itself, not by what it was asked.

    Redis's errors are known by the name of their module: where none is used its client is not loaded.
    """
    return is_of_database(error) or any(kind.__module__ == "redis.exceptions" for kind in type(error).__mro__)


def _template(record: logging.LogRecord) -> str:
    """Return the line before anything is filled in, Twisted's too, which fills in by itself."""
    event = getattr(record.msg, "event", None)
    return str(event.get("log_format", "")) if isinstance(event, dict) else str(record.msg)


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    _refuse_in_one_line,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(*, json: bool, level: str) -> dict[str, Any]:
    """Configure structlog and return Django's LOGGING, so that both write the same lines to stderr."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Never the values of variables: among them are keys and what people and agents wrote.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    last: list[structlog.typing.Processor] = (
        [tracebacks, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "koda": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "filters": {"dampened": {"()": Dampened}, "store_away": {"()": StoreAway}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "koda", "filters": ["store_away"]}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # Django attaches handlers of its own to these two; one line a fact is enough.
            "django": {"handlers": [], "level": level.upper(), "propagate": True},
            "django.server": {"handlers": [], "level": level.upper(), "propagate": True},
            # One line a request from here on would drown the rest; access lines belong to the proxy.
            "daphne": {"level": "WARNING"},
            # What connections make of their end, thousands at once where thousands come at once.
            "daphne.server": {"filters": ["dampened"]},
            "twisted": {"level": "WARNING", "filters": ["dampened"]},
            "sessions.live.broadcast": {"filters": ["dampened"]},
            "sessions.live.doorman": {"filters": ["dampened"]},
            "sessions.live.keeper": {"filters": ["dampened"]},
            "sessions.live.consumers.socket": {"filters": ["dampened"]},
            "httpx": {"level": "WARNING"},
        },
    }
