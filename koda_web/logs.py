"""How the log looks: lines for people, or one JSON object a line for machines."""

from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

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
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "koda"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # Django attaches handlers of its own to these two; one line a fact is enough.
            "django": {"handlers": [], "level": level.upper(), "propagate": True},
            "django.server": {"handlers": [], "level": level.upper(), "propagate": True},
            # One line a request from here on would drown the rest; access lines belong to the proxy.
            "daphne": {"level": "WARNING"},
            "twisted": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
        },
    }
