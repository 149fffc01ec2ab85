"""An application under OpenTelemetry's WSGI middleware and one under Sentry's; what they saw is at /spans and /events."""
import json

import mod_wsgi
import mod_wsgi.telemetry.wire
import sentry_sdk
from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

events = []
closed = []
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, default_integrations=False,
                before_send=lambda event, hint: events.append(event),
                before_send_transaction=lambda event, hint: events.append(event))


class Body:
    def __init__(self, name):
        self.name = name

    def __iter__(self):
        yield b"one,"
        yield b"two"

    def close(self):
        closed.append(self.name)


def plain(environ, start_response):
    path = environ["PATH_INFO"]
    if path.endswith("/fail"):
        raise ValueError("seen by agents")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(path)


traced = OpenTelemetryMiddleware(plain)
watched = SentryWsgiMiddleware(plain)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/traced"):
        return traced(environ, start_response)
    if path.startswith("/watched"):
        return watched(environ, start_response)
    seen = {"/spans": [{"name": span.name, "status": span.status.status_code.name, "ended": span.end_time is not None,
                        "attributes": {key: str(value) for key, value in span.attributes.items()}}
                       for span in exporter.get_finished_spans()],
            "/events": [{"type": event.get("type", "error"), "transaction": event.get("transaction"),
                         "exceptions": [value["value"] for value in event.get("exception", {}).get("values", [])]}
                        for event in events],
            "/closed": closed, "/package": [mod_wsgi.version, mod_wsgi.telemetry.wire.MAGIC.decode()]}[path]
    body = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
