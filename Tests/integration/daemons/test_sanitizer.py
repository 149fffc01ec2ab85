"""With `make sanitize`: what AddressSanitizer says of a worker reaches the log, and is kept whatever the test makes of it."""
import pytest

from httpd_env import SANITIZED, Httpd

pytestmark = pytest.mark.skipif(not SANITIZED, reason="the worker has no AddressSanitizer: make sanitize builds one")

CONF = """
WSGIDaemonProcess site processes=1 threads=2
WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
"""

APPLICATION = """
import ctypes

C = ctypes.CDLL(None)
C.malloc.restype = ctypes.c_void_p


def application(environ, start_response):
    block = C.malloc(ctypes.c_size_t(64))
    ctypes.memset(block, 1, 65 if environ["PATH_INFO"] == "/overflows" else 64)
    start_response("200 OK", [])
    return [b"fits"]
"""


def test_a_write_past_a_block_is_reported(tmp_path):
    server = Httpd(CONF, name="sanitizer")
    server.expected_crashes, server.reports = True, str(tmp_path)
    with open(server.apps + "/app.wsgi", "w") as script:
        script.write(APPLICATION)
    with server:
        assert server.get("/fits").text == "fits"
        assert server.get("/overflows").status == 502
        server.log.wait_for("SUMMARY: AddressSanitizer: heap-buffer-overflow")
        assert server.get("/fits").text == "fits"
    report, = tmp_path.iterdir()
    assert "ERROR: AddressSanitizer: heap-buffer-overflow" in report.read_text()
