"""OpenTelemetry: a span and two measurements for each turn of a page. Needs the extra
`djust[otel]`.

    # in the ready() of an app
    from djust import otel
    otel.instrument()

A span is named after view and handler. The histograms `djust.turn.duration` and
`djust.turn.waiting` count seconds by view and handler; to wait means for earlier events of the
page, and for a thread.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer

from djust.signals import event_finished

__all__ = ["instrument", "uninstrument"]

_UID = "djust.otel"


def instrument(tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Report every turn to these providers, or the global ones; another call replaces the first."""
    tracer = get_tracer("djust", tracer_provider=tracer_provider)
    meter = get_meter("djust", meter_provider=meter_provider)
    duration = meter.create_histogram("djust.turn.duration", "s", "From the arrival of an event to its answer")
    waiting = meter.create_histogram("djust.turn.waiting", "s", "The part of it before the handler is called")

    def report(
        sender: type,
        event: str,
        pushed: bool,
        seconds: dict[str, float],
        error: Exception | None,
        ended: float,
        **more: Any,
    ) -> None:
        view = f"{sender.__module__}.{sender.__qualname__}"
        where: dict[str, str | bool] = {"djust.view": view, "djust.event": event, "djust.pushed": pushed}
        duration.record(seconds["total"], where)
        waiting.record(seconds["waiting"], where)
        phases = {f"djust.seconds.{phase}": seconds[phase] for phase in ("waiting", "handler", "render")}
        span = tracer.start_span(
            f"{sender.__name__}.{event}",
            kind=SpanKind.SERVER,
            attributes={**where, **phases, "djust.queries": more["queries"], "djust.bytes": more["bytes"]},
            start_time=_nanoseconds(ended - seconds["total"]),
        )
        if error is not None:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        span.end(_nanoseconds(ended))

    uninstrument()
    event_finished.connect(report, weak=False, dispatch_uid=_UID)


def uninstrument() -> None:
    """Report nothing any more."""
    event_finished.disconnect(dispatch_uid=_UID)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
