"""request_metrics() and process_metrics(), against a load that is known."""
import pytest

from httpd_env import Httpd, run_together, wait_until
from test_module import evaluate, execute

PHASES = ("server_time", "queue_time", "daemon_time", "application_time", "request_time", "gil_wait_time", "input_read_time",
          "output_write_time")


class Site:
    """One application, without anything before it in its process."""

    def __init__(self, mode, conf=""):
        self.mode = mode
        lines = ["WSGIScriptAlias / {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL}"
                 % ("site" if mode == "daemon" else "%{GLOBAL}")]
        if mode == "daemon":
            lines.insert(0, "WSGIDaemonProcess site threads=6 python-path={lib}")
        self.httpd = Httpd("\n".join(lines) + "\n" + conf, apps="observe", name="metrics")
        self.log = self.httpd.log

    def get(self, mode, path, headers=()):
        return self.httpd.get(path, headers)


@pytest.fixture
def alone(mode):
    site = Site(mode)
    with site.httpd:
        yield site


SETTLE = """
def settled(count, deadline=20):
    # A response does not wait for the accounts of its request.
    mod_wsgi.start_recording_metrics()
    end = time.monotonic() + deadline
    while mod_wsgi.process_metrics()['request_count'] < count and time.monotonic() < end:
        time.sleep(0.001)
    return mod_wsgi.request_metrics()
"""


def begin(site):
    """Begins a period, of which the request that does so is the first."""
    execute(site, site.mode, SETTLE)
    # What the server's start asked, and the line above.
    site.ended = site.httpd.probes + 1
    evaluate(site, site.mode, "settled(%d)" % site.ended)


def drain(site, count=0):
    """The period's figures, when the request that began it and `count` others have ended."""
    site.ended += 1 + count
    return evaluate(site, site.mode, "settled(%d)" % site.ended)


def test_nothing_before_recording(alone):
    assert evaluate(alone, alone.mode, "[mod_wsgi.request_metrics(), mod_wsgi.process_metrics()]") == [None, None]
    assert evaluate(alone, alone.mode, "mod_wsgi.start_recording_metrics()") is None
    expected = alone.httpd.probes + 2
    wait_until(lambda: evaluate(alone, alone.mode, "mod_wsgi.process_metrics()")["request_count"] >= expected, "all of them")


def test_totals_equal_the_load(alone):
    begin(alone)
    work = [("GET", "/status/200", None)] * 40 + [("GET", "/status/302", None)] * 10 + [("GET", "/status/404", None)] * 5
    work += [("GET", "/fail", None)] * 3 + [("POST", "/body", b"x" * 1000)] * 8
    answers = run_together(4, lambda index: [alone.httpd.request(method, path, body=body)
                                             for method, path, body in work[index::4]])
    sent = sum(len(answer.body) for part in answers for answer in part if answer.status != 500)
    metrics = drain(alone, 66)
    # The request that began to record was not recorded itself; the one that asks belongs to the next period.
    assert metrics["status_2xx"] == 40 + 8
    assert (metrics["status_3xx"], metrics["status_4xx"], metrics["status_5xx"]) == (10, 5, 3)
    assert metrics["request_count"] == sum(metrics["status_%dxx" % kind] for kind in range(1, 6)) == 66
    assert (metrics["input_bytes"], metrics["input_reads"]) == (8000, 8)
    assert metrics["output_bytes"] == sent
    assert metrics["output_writes"] >= 63
    assert metrics["request_throughput"] == pytest.approx(66 / metrics["sample_period"])
    limit = 6 if alone.mode == "daemon" else 80
    assert metrics["request_threads_maximum"] == limit
    for key in ("completed", "buckets", "busy_time", "cpu_time", "current_elapsed", "max_duration"):
        assert len(metrics["request_threads_" + key]) == limit
    assert sum(metrics["request_threads_completed"]) == 66
    assert 1 <= metrics["request_threads_active"] <= metrics["request_threads_started"] <= limit
    assert metrics["capacity_utilization"] == pytest.approx(
        sum(metrics["request_threads_busy_time"]) / metrics["sample_period"] / limit)
    for phase in PHASES:
        if alone.mode == "embedded" and phase in ("queue_time", "daemon_time"):
            assert metrics[phase] is metrics[phase + "_min_us"] is metrics[phase + "_max_us"] is None
            continue
        assert sum(metrics[phase + "_buckets"]) == 66
        assert metrics[phase + "_min_us"] <= metrics[phase] * 1e6 + 1 and metrics[phase] * 1e6 <= metrics[phase + "_max_us"] + 1
    stages = [metrics[phase] for phase in PHASES[:4] if metrics[phase] is not None]
    assert metrics["request_time"] == pytest.approx(sum(stages), rel=1e-6)
    assert metrics["gil_wait_count"] >= 66
    assert metrics["start_time"] < metrics["stop_time"]
    assert metrics["stop_time"] - metrics["start_time"] == pytest.approx(metrics["sample_period"], abs=1e-5)
    # The next period is another one.
    following = drain(alone)
    assert following["request_count"] == 1 and following["start_time"] == metrics["stop_time"]


def test_processor_time(alone):
    begin(alone)
    execute(alone, alone.mode, "end = time.thread_time() + 0.3\nwhile time.thread_time() < end: pass")
    metrics = drain(alone, 1)
    spent = metrics["cpu_utilization"] * metrics["sample_period"]
    assert spent >= 0.29 and metrics["cpu_time"] == metrics["cpu_utilization"]
    assert metrics["cpu_user_utilization"] + metrics["cpu_system_utilization"] == pytest.approx(metrics["cpu_utilization"])
    assert sum(metrics["request_threads_cpu_time"]) >= 0.29
    assert sum(metrics["application_time_buckets"][31:]) == 1  # 0.25 s and more


def test_a_request_that_runs(alone):
    gate = alone.httpd.unused_path("go")
    begin(alone)
    import threading
    waiting = threading.Thread(target=lambda: alone.httpd.get("/wait?path=" + gate))
    waiting.start()
    polls = []

    def is_running():
        polls.append(evaluate(alone, alone.mode, "len(mod_wsgi.active_requests)"))
        return polls[-1] == 2
    wait_until(is_running, "the request that waits")
    metrics = drain(alone, len(polls))
    elapsed = [time for time in metrics["request_threads_current_elapsed"] if time]
    assert len(elapsed) == 2 and max(elapsed) <= sum(metrics["request_threads_busy_time"])
    process = evaluate(alone, alone.mode, "mod_wsgi.process_metrics()")
    assert process["active_requests"] == 2
    open(gate, "w").close()
    waiting.join()
    wait_until(lambda: evaluate(alone, alone.mode, "mod_wsgi.process_metrics()")["active_requests"] == 1, "its end")


def test_process_metrics(alone):
    begin(alone)
    run_together(4, lambda _: [alone.httpd.get("/status/200") for _ in range(5)])
    drain(alone, 20)
    metrics = evaluate(alone, alone.mode, "[settled(%d), mod_wsgi.process_metrics()][1]" % (alone.ended + 1))
    assert {key: type(value).__name__ for key, value in metrics.items()} == {
        "pid": "int", "request_busy_time": "float", "request_count": "int", "memory_rss": "int", "memory_max_rss": "int",
        "cpu_user_time": "float", "cpu_system_time": "float", "cpu_time": "float", "restart_time": "float",
        "current_time": "float", "running_time": "int", "request_threads": "int", "active_requests": "int", "threads": "list"}
    assert metrics["request_count"] == alone.ended + 1
    assert metrics["request_count"] == sum(thread["request_count"] for thread in metrics["threads"])
    assert all(set(thread) == {"thread_id", "request_count"} for thread in metrics["threads"])
    assert len(metrics["threads"]) == metrics["request_threads"]
    assert metrics["restart_time"] < metrics["current_time"] and metrics["request_busy_time"] > 0
    assert metrics["pid"] == evaluate(alone, alone.mode, "os.getpid()")


def test_interpreters_share_the_counters(mode):
    conf = ["WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%s"
            % (name, "site" if mode == "daemon" else "%{GLOBAL}", name) for name in ("one", "two")]
    if mode == "daemon":
        conf.insert(0, "WSGIDaemonProcess site threads=2 python-path={lib}")
    with Httpd("\n".join(conf), apps="observe") as server:
        assert server.get("/one/execute?c=mod_wsgi.start_recording_metrics()").text == "done"
        for _ in range(5):
            server.get("/one/status/200")
        wait_until(lambda: server.get("/two/evaluate?e=mod_wsgi.process_metrics()['request_count']>=6").text == "true", "them")
        assert int(server.get("/two/evaluate?e=mod_wsgi.request_metrics()['request_count']").text) >= 5


def test_recording_while_requests_run(alone):
    """Whoever begins or reads in the midst of a load gets sums that agree with each other."""
    begin(alone)
    import threading
    stop = threading.Event()
    counts = [0] * 6

    def load(index):
        with alone.httpd.client() as client:
            while not stop.is_set():
                assert client.request("GET", "/status/200").status == 200
                counts[index] += 1
    threads = [threading.Thread(target=load, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    seen = asked = 0
    while seen < 1500:
        metrics = drain(alone)
        asked += 1
        for phase in PHASES:
            if metrics[phase] is not None:
                assert sum(metrics[phase + "_buckets"]) == metrics["request_count"]
                if metrics["request_count"]:
                    assert metrics[phase + "_min_us"] is not None
        assert sum(metrics["status_%dxx" % kind] for kind in range(1, 6)) == metrics["request_count"]
        assert sum(metrics["request_threads_completed"]) == metrics["request_count"]
        assert metrics["capacity_utilization"] <= 1.05
        seen += metrics["request_count"]
    stop.set()
    for thread in threads:
        thread.join()
    # Every request of the load, and those that asked but for the last.
    last = drain(alone, sum(counts))
    assert seen + last["request_count"] == sum(counts) + asked
