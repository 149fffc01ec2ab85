"""What a telemetry service gets, read by the published `mod_wsgi-telemetry` package; and slow requests in the error log."""
import os
import signal
import socket
import threading
import time
import urllib.parse

import pytest
from mod_wsgi.telemetry import ingest, wire

from httpd_env import Httpd, wait_until
from processes import called, name_of, named


class Service:
    """Receives datagrams on a thread of its own, as `mod_wsgi-telemetry` does."""

    def __init__(self, path):
        self.path = path
        self.samples, self.sizes = [], []
        self.ingester = ingest.Ingester("unix:" + path)
        self.bind()

    def bind(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while True:
            data = self.socket.recv(65536)
            if not data:
                return
            self.sizes.append(len(data))
            self.samples.append(wire.decode(data))
            self.ingester._handle(data)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def of(self, kind, since=0):
        return [sample for sample in list(self.samples)[since:] if sample.kind == kind]

    def wait_for(self, kind, condition=lambda fields: True, since=0, deadline=20):
        found = wait_until(lambda: [sample for sample in self.of(kind, since) if condition(sample.fields)],
                           lambda: "a datagram of kind %d among %s" % (kind, [s.kind_name for s in self.samples]), deadline)
        return found[0]


class Site:
    def __init__(self, mode, conf, groups=("%{GLOBAL}",), options=""):
        self.mode = mode
        self.httpd = Httpd("", apps="observe", name="telemetry")
        directory = self.httpd.make_directory("t", 0o777)
        self.service = Service(directory + "/s")
        lines = ["WSGITelemetryService unix:%s/s interval=0.5" % directory, conf]
        daemon = ["WSGIDaemonProcess site threads=4 python-path={lib} " + options] if mode == "daemon" else []
        where = "site" if mode == "daemon" else "%{GLOBAL}"
        for index, group in enumerate(groups):
            alias = "/" if index == 0 else "/other%d" % index
            lines.insert(0, "WSGIScriptAlias %s {apps}/app.wsgi process-group=%s application-group=%s" % (alias, where, group))
        self.httpd.configure("\n".join(daemon + lines))
        self.get, self.log = self.httpd.get, self.httpd.log

    def __enter__(self):
        self.httpd.__enter__()
        return self

    def __exit__(self, *failure):
        try:
            self.httpd.__exit__(*failure)
        finally:
            self.service.close()

    @property
    def limit(self):
        return 4 if self.mode == "daemon" else 80


def check_identity(fields, mode):
    assert fields["hostname"].decode() == socket.gethostname()
    assert fields.get("process_group", b"") == (b"site" if mode == "daemon" else b"")


def test_a_run(mode):
    """From the first datagram of a process to its last, as the package's own ingester takes it."""
    with Site(mode, "WSGISlowRequests 10") as site:
        service = site.service
        assert site.get("/status/200").status == 200
        started = service.wait_for(wire.KIND_PROCESS_STARTED)
        check_identity(started.fields, mode)
        assert started.fields["mod_wsgi_version"] == b"6.1.1"
        assert started.fields["python_version"].split(b".")[0] == b"3" and started.fields["python_version"].count(b".") == 2
        assert started.fields["apache_version"].startswith(b"2.4") and started.fields["mpm_name"] == b"event"
        assert started.fields["process_parent_pid"] > 1 and started.seq == 1 and started.version == 1
        assert started.fields["switch_interval"] == pytest.approx(0.005)
        assert abs(started.stamp - time.time()) < 60
        pid = started.pid

        for _ in range(9):
            assert site.get("/status/404").status == 404
        assert site.httpd.request("POST", "/body", body=b"x" * 500).status == 200
        # The server was asked whether it answers before, perhaps several times.
        wait_until(lambda: sum(s.fields["status_2xx_total"] for s in service.of(wire.KIND_REQUEST)) >= 2,
                   lambda: "the metrics of eleven requests: %s" % [s.fields for s in service.of(wire.KIND_REQUEST)])
        samples = service.of(wire.KIND_REQUEST)
        for sample in samples:
            check_request_metrics(sample, site, pid)
        total = {key: sum(sample.fields[key] for sample in samples)
                 for key in ("status_2xx_total", "status_4xx_total", "input_bytes_total", "input_reads_total")}
        assert total["status_4xx_total"] >= 9 and total["status_2xx_total"] == 2
        assert (total["input_bytes_total"], total["input_reads_total"]) == (500, 1)

        # What applications could ask for, the service has now.
        assert site.get("/evaluate?e=[mod_wsgi.request_metrics(),mod_wsgi.process_metrics()]").text == "[null, null]"
        assert site.get("/evaluate?e=mod_wsgi.start_recording_metrics()").text == "null"
        site.httpd.stop()
        wait_until(lambda: any(sample.pid == pid for sample in service.of(wire.KIND_PROCESS_STOPPED)), "the last sample")

        stopping = [sample for sample in service.of(wire.KIND_PROCESS_STOPPING) if sample.pid == pid]
        stopped = [sample for sample in service.of(wire.KIND_PROCESS_STOPPED) if sample.pid == pid]
        assert len(stopping) == len(stopped) == 1
        reason = b"shutdown_signal" if mode == "daemon" else None
        for sample in stopping + stopped:
            check_identity(sample.fields, mode)
            assert sample.fields.get("shutdown_reason") == reason
        assert stopping[0].fields["active_requests_at_decision"] == 0
        fields = stopped[0].fields
        assert fields["graceful_drain"] == 1 and fields["active_requests_at_exit"] == 0
        assert fields["process_uptime"] > 0 and fields["lifetime_request_count"] >= 13
        mine = [sample for sample in service.samples if sample.pid == pid]
        assert [sample.seq for sample in mine] == list(range(1, len(mine) + 1))
        assert mine[-1] is stopped[0] and mine[-2].kind != wire.KIND_PROCESS_STOPPING  # a last report comes between

        assert max(service.sizes) <= 8192
        ingester = service.ingester
        assert ingester.decode_errors == 0 and ingester.processes[pid].drops <= len(mine)
        assert ingester.processes[pid].python_version and len(ingester.processes[pid].samples) == len(
            [sample for sample in mine if sample.kind == wire.KIND_REQUEST])
        assert {event.kind for event in ingester.lifecycle_events if event.pid == pid} \
            == {"process_started", "process_stopping", "process_stopped"}


def test_each_fork_of_a_preloader_is_a_process_of_its_own():
    with Site("daemon", "", options="preload=On processes=2 display-name=(wsgi:{port})",) as site:
        wait_until(lambda: len(site.service.of(wire.KIND_PROCESS_STARTED)) > 1, "both to be told of")
        started = site.service.of(wire.KIND_PROCESS_STARTED)
        workers = {pid for pid in called("(wsgi:%d)" % site.httpd.port) if name_of(pid) == "wsgi-worker"}
        assert {sample.pid for sample in started} == workers and len(workers) == 2
        assert {sample.fields["process_parent_pid"] for sample in started} == set(named(site.httpd.pid, "wsgi-supervisor"))
        assert {sample.seq for sample in started} == {1}


PHASES = ("server", "queue", "daemon", "application", "request", "gil_wait", "input_read", "output_write")


def check_request_metrics(sample, site, pid):
    fields = sample.fields
    assert sample.pid == pid
    check_identity(fields, site.mode)
    assert not [name for name in fields if name.startswith("id")], "a field that the package does not know"
    assert fields["telemetry_interval"] == 0.5 and fields["slow_requests_threshold"] == 10
    assert 0 < fields["sample_period"] < 20
    assert fields["request_throughput"] == pytest.approx(fields["request_count"] / fields["sample_period"])
    assert 0 <= fields["capacity_utilization"] <= 1
    assert fields["cpu_utilization"] == pytest.approx(fields["cpu_user_utilization"] + fields["cpu_system_utilization"])
    assert 1 << 20 < fields["memory_rss"] <= fields["memory_max_rss"]
    assert fields["request_threads_maximum"] == site.limit
    assert fields["request_threads_active"] <= fields["request_threads_started"] <= site.limit
    assert sum(fields["status_%dxx_total" % kind] for kind in range(1, 6)) == fields["request_count"]
    for phase in PHASES:
        name = phase + "_time"
        if site.mode == "embedded" and phase in ("queue", "daemon"):
            assert not [key for key in fields if key.startswith(name)]
            continue
        assert len(fields[name + "_buckets"]) == 65 and sum(fields[name + "_buckets"]) == fields["request_count"]
        if fields["request_count"]:
            assert fields[name + "_min"] <= fields[name] + 1e-9 and fields[name] <= fields[name + "_max"] + 1e-9
        else:
            assert name + "_min" not in fields and name + "_max" not in fields
            assert (name in fields) == (phase not in ("queue", "daemon"))
    for name in ("completed", "busy_time", "cpu_time", "current_elapsed", "max_duration"):
        assert len(fields["request_threads_" + name]) == site.limit


def test_an_end_that_is_not_graceful(mode):
    """A process that shutdown-timeout ends says so."""
    if mode != "daemon":
        pytest.skip("httpd ends its children as it likes")
    with Site(mode, "", options="shutdown-timeout=1 graceful-timeout=1") as site:
        pid = int(site.get("/evaluate?e=os.getpid()").text)
        gate, thread, results = wait_slowly(site, "go")
        wait_until(lambda: site.get("/evaluate?e=len(mod_wsgi.active_requests)").text == "2", "a request that runs")
        os.kill(pid, signal.SIGTERM)
        stopped = site.service.wait_for(wire.KIND_PROCESS_STOPPED)
        assert stopped.pid == pid and stopped.fields["graceful_drain"] == 0
        assert stopped.fields["active_requests_at_exit"] == 1
        assert stopped.fields["shutdown_reason"] == b"shutdown_signal"
        stopping, = [sample for sample in site.service.of(wire.KIND_PROCESS_STOPPING) if sample.pid == pid]
        assert stopping.fields["active_requests_at_decision"] == 1
        thread.join()
        assert not results or results[0].status >= 500


def test_a_service_that_comes_and_goes(mode):
    with Site(mode, "") as site:
        site.get("/status/200")
        site.service.wait_for(wire.KIND_REQUEST)
        site.service.close()
        assert site.get("/status/200").status == 200
        time_of_return = time.time()
        site.service.bind()
        mark = len(site.service.samples)
        sample = site.service.wait_for(wire.KIND_REQUEST, since=mark)
        assert sample.stamp >= time_of_return - 1


def test_a_service_that_does_not_read(mode):
    """A full socket holds nothing up, the end of the process least of all."""
    with Site(mode, "") as site:
        site.service.close()
        idle = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        idle.bind(site.service.path)
        os.chmod(site.service.path, 0o777)
        for _ in range(20):
            assert site.get("/collect/5").status == 200
        # httpd's event MPM may crash when it is stopped while a worker still closes its connection.
        site.httpd.access_log.wait_for("/collect", count=20)
        site.httpd.stop()
        idle.close()
        os.unlink(site.service.path)
        site.service.bind()


def test_garbage_collection(mode):
    with Site(mode, "", groups=("%{GLOBAL}", "second")) as site:
        service = site.service
        assert site.get("/collect/3").text == "collected"
        assert site.get("/other1/collect/3").text == "collected"
        # More than can be told before the next tick.
        assert site.get("/other1/collect/5000?generation=0").text == "collected"
        # A tick may come between the requests: its snapshot knows of less.
        snapshot = service.wait_for(wire.KIND_GC_SNAPSHOT, lambda fields: fields.get("interpreter_name") == b"second"
                                    and fields["gc_collections2"] >= 3)
        assert set(snapshot.fields) - {"interpreter_name"} == {wire.FIELDS[number] for number in range(300, 318)}
        assert snapshot.fields["gc_is_enabled"] == 1 and snapshot.fields["gc_threshold0"] > 0
        event = service.wait_for(wire.KIND_GC_EVENT, lambda fields: "interpreter_name" not in fields
                                 and fields["gc_event_generation"] == 2)
        assert set(event.fields) == {wire.FIELDS[number] for number in range(320, 325)}
        assert event.fields["gc_event_generation"] == 2 and 0 <= event.fields["gc_event_duration"] < 10
        assert abs(event.fields["gc_event_start_stamp"] - event.stamp) < 60
        # The ring holds 256 of an interpreter; what was lost is told once.
        wait_until(lambda: sum(sample.fields["gc_dropped_events"] for sample in service.of(wire.KIND_GC_SNAPSHOT)
                               if sample.fields.get("interpreter_name") == b"second") > 0, "events lost")
        by_tick = {}
        for sample in service.of(wire.KIND_GC_EVENT):
            key = (sample.stamp, sample.fields.get("interpreter_name"))
            by_tick[key] = by_tick.get(key, 0) + 1
        assert max(by_tick.values()) <= 64
        assert service.ingester.processes[snapshot.pid].gc_snapshots.keys() >= {"", "second"}


# MARK: slow requests

def wait_slowly(site, name):
    gate = os.path.join(site.httpd.root, "t", name)
    path = "/wait?" + urllib.parse.urlencode({"path": gate, "secret": "query"})
    results = []
    thread = threading.Thread(target=lambda: results.append(site.get(path, [("User-Agent", "slow/1.0")])))
    thread.start()
    return gate, thread, results


@pytest.mark.parametrize("options", ["", "WSGITelemetryOptions +CaptureUserAgent"])
def test_slow_requests(mode, options):
    with Site(mode, "WSGISlowRequests 0.3\n" + options) as site:
        service, mark = site.service, site.log.mark()
        gate, thread, results = wait_slowly(site, "go")
        running = service.wait_for(wire.KIND_SLOW_REQUEST, lambda fields: fields["slow_record_state"] == 0)
        # Told anew at every tick, but logged once.
        wait_until(lambda: len(service.of(wire.KIND_SLOW_REQUEST)) >= 3, "more records of it")
        stack = site.log.wait_for(r"WSGI0510: (Thread \d+ executing|called from).*in waiting_for_a_file", mark)
        open(gate, "w").close()
        thread.join()
        assert results[0].status == 200
        ended = service.wait_for(wire.KIND_SLOW_REQUEST, lambda fields: fields["slow_record_state"] == 1)
        summary, = site.log.wait_for(r"WSGI0511", mark)
        for sample in (running, ended):
            fields = sample.fields
            assert not [name for name in fields if name.startswith("id")]
            assert (fields["slow_method"], fields["slow_path_info"]) == (b"GET", b"/wait")
            assert fields.get("slow_script_name", b"") == b"" and fields["slow_protocol"] == b"HTTP/1.1"
            assert fields["slow_hostname"] == b"localhost" and fields["slow_scheme"] == b"http"
            assert fields["slow_peer_ip"] == b"127.0.0.1" and fields["slow_log_id"]
            assert fields.get("slow_user_agent") == (b"slow/1.0" if options else None)
            assert fields["slow_server_pid"] > 1 and fields["slow_thread_id"] > 0
            # One that has just been answered may not have ended yet.
            assert fields["slow_active_at_start"] in (1, 2)
            assert fields["slow_duration"] >= 0.3 and not any(b"secret" in value for value in fields.values()
                                                             if isinstance(value, bytes))
        key = ("slow_thread_id", "slow_start_stamp", "slow_log_id")
        assert [running.fields[name] for name in key] == [ended.fields[name] for name in key]
        assert running.fields["slow_status"] == 0 and running.fields["slow_active_at_completion"] == 0
        assert ended.fields["slow_status"] == 200 and ended.fields["slow_active_at_completion"] == 1
        assert 0.3 <= running.fields["slow_application_time"] < ended.fields["slow_application_time"] + 1e-6
        assert ended.fields["slow_output_bytes"] == 6 and ended.fields["slow_cpu_user_time"] >= 0
        assert ended.fields["slow_gil_wait_count"] >= 1
        entry, = service.ingester.slow_requests.values()
        assert entry.state == 1 and entry.duration == ended.fields["slow_duration"]
        # The log: once while it runs, with the stack, and once when it has ended, as part of the request.
        first, = site.log.lines(r"WSGI0510: Slow request", mark)
        assert "GET /wait of host 'localhost'" in first and "[wsgi:warn]" in first and "secret" not in first
        assert len(stack) == 1 and len(site.log.lines(r"in waiting_for_a_file", mark)) == 1
        assert "Slow request: GET /wait of host 'localhost' took" in summary and "secret" not in summary
        assert "status 200" in summary and "request id " + ended.fields["slow_log_id"].decode() in summary
        if mode == "embedded":
            assert "[script " in summary


def test_slow_requests_are_logged_without_a_service(make_httpd, mode):
    where = "site" if mode == "daemon" else "%{GLOBAL}"
    conf = "WSGISlowRequests 0.3\nWSGIScriptAlias / {apps}/app.wsgi process-group=%s application-group=slow" % where
    if mode == "daemon":
        conf = "WSGIDaemonProcess site threads=2 python-path={lib}\n" + conf
    server = make_httpd(conf, apps="observe", log_level="warn")
    gate = server.unused_path("go")
    thread = threading.Thread(target=lambda: server.get("/wait?path=" + gate))
    thread.start()
    server.log.wait_for(r"wsgi:warn.*WSGI0510: Slow request: GET /wait")
    server.log.wait_for(r"wsgi:warn.*in waiting_for_a_file")
    open(gate, "w").close()
    thread.join()
    server.log.wait_for(r"wsgi:warn.*WSGI0511: Slow request: GET /wait of host 'localhost' took")
    server.get("/status/200")
    assert len(server.log.lines("WSGI051")) == len(server.log.lines("WSGI0510")) + 1


def test_who_holds_the_gil(mode):
    """Native code that does not give the GIL away: the report comes all the same, and says so."""
    with Site(mode, "WSGISlowRequests 0.3") as site:
        mark = site.log.mark()
        # PyDLL calls native code with the GIL held.
        code = "import ctypes\nctypes.PyDLL(None).usleep(900000)\nctypes.PyDLL(None).usleep(900000)"
        answers = []
        thread = threading.Thread(target=lambda: answers.append(site.get("/execute?" + urllib.parse.urlencode({"c": code}))))
        thread.start()
        site.service.wait_for(wire.KIND_SLOW_REQUEST, lambda fields: fields["slow_record_state"] == 0)
        site.log.wait_for(r"WSGI0510: Slow request: GET /execute", mark)
        thread.join()
        assert answers[0].status == 200
