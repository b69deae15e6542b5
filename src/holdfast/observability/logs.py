"""The log: structlog and the standard library's logging, through one formatter, to standard error."""

import atexit
import logging
from collections.abc import Mapping
from typing import Any

import structlog

from holdfast.observability.lines import render_text
from holdfast.observability.writer import LineWriter

LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


_writer = LineWriter(2)
flush = _writer.flush
"""Wait until all lines are written, for half a second at most."""


class LineHandler(logging.Handler):
    """Hands formatted records to the thread that writes them."""

    def emit(self, record: logging.LogRecord) -> None:
        _writer.write([f"{self.format(record)}\n"])


def configure(level: str, formatter: str, fields: Mapping[str, str]) -> None:
    """Set logging up for this process. `level` and `formatter` as in the settings; `fields` are added to every line."""

    def add_fields(_logger: object, _method: str, event: Any) -> Any:
        for key, value in fields.items():
            event.setdefault(key, value)
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        add_fields,
    ]
    render: Any = render_text if formatter == "text" else structlog.processors.JSONRenderer()
    handler = LineHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    atexit.unregister(flush)
    atexit.register(flush)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for library in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(library).setLevel(max(LEVELS[level], logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
