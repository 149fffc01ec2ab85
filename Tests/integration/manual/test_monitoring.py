"""conf/monitoring: what its rules and its dashboard ask for is what the status page has."""
import json
import os
import re
import signal
import subprocess

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import debian_packages
from documents import chapter, text_of
from httpd_env import ROOT, Httpd, wait_until

FILES = os.path.join(ROOT, "conf", "monitoring")
ALERTS = yaml.safe_load(text_of(os.path.join(FILES, "alerts.yml")))["groups"][0]["rules"]
DASHBOARD = json.loads(text_of(os.path.join(FILES, "grafana.json")))
CONF = """
WSGIDaemonProcess site threads=2
WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
<Location /wsgi-status>
    SetHandler wsgi-status
    Require local
</Location>
"""
# What each alert does not fire for, and what it does, as promtool writes series.
STORIES = {
    "WSGIServerDown": ({"up": "1"}, {"up": "0"}),
    "WSGIGroupDown": (
        # A group that sleeps has no process either.
        {'wsgi_group_state{state="sleeping"}': "1", 'wsgi_group_state{state="down"}': "0"},
        {'wsgi_group_state{state="sleeping"}': "0", 'wsgi_group_state{state="down"}': "1"}),
    "WSGIRequestsFail": (
        {'wsgi_request_failures_total{cause="client_gone"}': "0+9x60", 'wsgi_requests_total{status="2xx"}': "0+60x60"},
        {'wsgi_request_failures_total{cause="worker_died"}': "0+2x60", 'wsgi_requests_total{status="2xx"}': "0+60x60"}),
    "WSGIGroupSaturated": (
        {"wsgi_requests_waiting": "3", 'wsgi_threads{state="idle"}': "1"},
        {"wsgi_requests_waiting": "3", 'wsgi_threads{state="idle"}': "0"}),
    "WSGIGroupSlow": (
        {'wsgi_request_duration_seconds_bucket{le="0.5"}': "0+60x60",
         'wsgi_request_duration_seconds_bucket{le="+Inf"}': "0+60x60"},
        {'wsgi_request_duration_seconds_bucket{le="1"}': "0+30x60", 'wsgi_request_duration_seconds_bucket{le="4"}': "0+60x60",
         'wsgi_request_duration_seconds_bucket{le="+Inf"}': "0+60x60"}),
    "WSGIScriptDoesNotLoad": (
        {'wsgi_last_load{outcome="loaded"}': "1", 'wsgi_last_load{outcome="failed"}': "0"},
        {'wsgi_last_load{outcome="loaded"}': "0", 'wsgi_last_load{outcome="kept"}': "1"}),
    "WSGIProcessesCrash": (
        {'wsgi_process_ends_total{reason="maximum_requests"}': "0+1x60"},
        {'wsgi_process_ends_total{reason="crash_signal"}': "0+1x60"}),
}


def expressions():
    """All that is asked for, by where."""
    found = {rule["alert"]: rule["expr"] for rule in ALERTS}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found["%s %s" % (panel["title"], target["refId"])] = target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        found[annotation["name"]] = annotation["expr"]
    for variable in DASHBOARD["templating"]["list"][1:]:
        found[variable["label"]] = re.sub(r"label_values\((\w+), (\w+)\)", r"sum by (\2) (\1)", variable["query"])
    return found


@pytest.fixture(scope="module")
def samples():
    """Names of samples and values of labels that the status page has."""
    server = Httpd(CONF, name="monitoring", modules=["authz_host"])
    with open(os.path.join(server.apps, "app.wsgi"), "w") as script:
        script.write("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'here']\n")
    with server:
        assert server.get("/").status == 200
        worker, = json.loads(server.get("/wsgi-status?json").text)["groups"][-1]["processes"]
        os.kill(worker["pid"], signal.SIGKILL)
        page = ["wsgi_process_ends_total", "wsgi_process_resident_memory_bytes{"]
        answer = wait_until(lambda: (lambda answer: all(part in answer.text for part in page) and answer)(
            server.get("/wsgi-status?openmetrics")), "the end of a process, and the next one, on the page")
    names, labels = set(), {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            names.add(sample.name)
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    # Reasons are there as they occur; a unit test compares this row with the code.
    row, = re.findall(r"^\| `process_ends` \|.*$", chapter("monitoring"), re.M)
    labels["reason"] |= set(re.findall(r"`(\w+)`", row))
    return names, labels


@pytest.mark.parametrize("where", sorted(expressions()))
def test_what_is_asked_for_is_there(samples, where):
    names, labels = samples
    expression = expressions()[where]
    asked = set(re.findall(r"\bwsgi_\w+", expression))
    assert asked <= names and (asked or "up{" in expression)
    by = {label for listed in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in listed.split(", ")}
    assert by <= set(labels) | {"instance"}
    for label, values in re.findall(r"(\w+)(?:=|!=|=~|!~)\"([^\"$]+)\"", expression):
        assert label == "job" or set(values.split("|")) <= labels[label], (label, values)


def promtool(*arguments):
    program = os.path.join(debian_packages.unpacked("prometheus"), "usr", "bin", "promtool")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def test_prometheus_understands_every_expression(tmp_path):
    rules = [{"record": "trial:%d" % number, "expr": re.sub(r"\$__rate_interval", "5m", expression)}
             for number, expression in enumerate(expressions().values())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "trial", "rules": rules}]}))
    for path in (str(tmp_path / "rules.yml"), os.path.join(FILES, "alerts.yml")):
        done = promtool("check", "rules", path)
        assert done.returncode == 0, done


def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path):
    tests = []
    assert sorted(STORIES) == sorted(rule["alert"] for rule in ALERTS)
    for rule in ALERTS:
        for fires, story in enumerate(STORIES[rule["alert"]]):
            series = [{"series": with_labels(name), "values": values if "x" in values else values + "+0x60"}
                      for name, values in story.items()]
            expected = []
            if fires:
                labels = dict(rule["labels"], instance="web1", **{"job": "wsgi"} if rule["alert"] == "WSGIServerDown"
                              else {"group": "shop"})
                expected = [{"exp_labels": labels, "exp_annotations": {
                    key: text.replace("{{ $labels.group }}", "shop").replace("{{ $labels.instance }}", "web1")
                    for key, text in rule["annotations"].items()}}]
            tests.append({"interval": "1m", "input_series": series, "alert_rule_test": [
                {"eval_time": "45m", "alertname": rule["alert"], "exp_alerts": expected}]})
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": [os.path.join(FILES, "alerts.yml")], "tests": tests}))
    done = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert done.returncode == 0, done


def with_labels(name):
    name, _, rest = name.partition("{")
    labels = 'job="wsgi"' if name == "up" else 'group="shop"'
    return '%s{instance="web1",%s%s' % (name, labels, "," + rest if rest else "}")


def test_the_dashboard_is_whole():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == 10
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & places, panel["title"]
        places |= cells
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(DASHBOARD))) == variables
