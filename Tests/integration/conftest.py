import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.umask(0o022)

import httpd_env  # noqa: E402
from quarantine import QUARANTINE  # noqa: E402


def pytest_generate_tests(metafunc):
    """A test that takes `mode` runs once in each mode that there is."""
    if "mode" in metafunc.fixturenames:
        metafunc.parametrize("mode", httpd_env.MODES)


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("difference")
        if httpd_env.REFERENCE and marker:
            item.add_marker(pytest.mark.skip(reason="differs from the reference on purpose: %s" % marker.args))
        marker = item.get_closest_marker("unsanitized")
        if httpd_env.SANITIZED and marker:
            item.add_marker(pytest.mark.skip(reason="under AddressSanitizer, %s" % marker.args))
        if quarantined(item.nodeid):
            item.add_marker(pytest.mark.flaky(reruns=1))


def quarantined(name):
    """The reason for which a test is tried twice; None for nearly all."""
    return next((reason for test, reason in QUARANTINE.items() if name.partition("[")[0].endswith(test)), None)


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section("first failure of %s" % report.nodeid)
        terminalreporter.write_line("Quarantined: %s" % (quarantined(report.nodeid) or "no, --reruns was given"))
        terminalreporter.write_line(report.longreprtext)


def pytest_configure(config):
    config.addinivalue_line("markers", "difference(why): a behaviour that differs from mod_wsgi 6.1.1 on purpose")
    config.addinivalue_line("markers", "unsanitized(why): what no server does with AddressSanitizer in the processes")


@pytest.fixture(scope="module")
def site(request):
    """The module's own SITE, a function that makes one, running for all of its tests."""
    with request.module.SITE() as running:
        yield running


@pytest.fixture
def make_httpd():
    """Makes servers that end with the test. `files`, of names in `apps` and their text, and `prepare`, which is called with the
    server, are for what has to be there before it starts: a group that preloads a script loads it at once."""
    running = []

    def make(*args, files=None, prepare=None, **kwargs):
        server = httpd_env.Httpd(*args, **kwargs)
        for name, text in (files or {}).items():
            server.write(name, text)
        if prepare:
            prepare(server)
        running.append(server)
        server.__enter__()
        return server
    yield make
    for server in running:
        server.__exit__(None, None, None)
