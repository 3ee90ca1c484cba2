"""How the service logs: lines on stderr, tracebacks without the values of variables."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Sets the log format of this process. Values stay out of tracebacks: some are secret."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
