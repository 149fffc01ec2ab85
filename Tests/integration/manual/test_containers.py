"""The chapter "Containers" and conf/containers, as far as they can be tried without a container engine."""
import os
import re
import signal
import subprocess

import pytest
import yaml

from documents import text_of
from http_client import Client
from httpd_env import MODULE, ROOT, free_port, httpd_program, query_apxs, wait_until
from processes import children

FILES = os.path.join(ROOT, "conf", "containers")
# What a container engine sets up: nothing can be written to but two directories, and the server is process 1 of its own.
SETUP = r"""
mount --make-rprivate /
mount -t tmpfs -o size=64M tmpfs /srv
cp -a {root}/srv/. /srv/
cp -a {modules} {root}/modules
cp -a {images}/mod_wsgi.so {images}/wsgi-* {root}/modules/
mount --bind {root}/modules {modules}
mount -t tmpfs -o uid=10001,size=1M tmpfs {root}/run
mount -t tmpfs -o mode=1777,size=16M tmpfs {root}/tmp
mount -t tmpfs tmpfs /run
mkdir /run/httpd
mount --bind {root}/run /run/httpd
mount --bind {root}/tmp /tmp
mount -t proc proc /proc
for place in $(cut -d ' ' -f 2 /proc/self/mounts); do
  case $place in /proc*|/sys*|/dev*|/tmp|/run/httpd) ;; *) mount -o remount,bind,ro "$place" 2>/dev/null || : ;; esac
done
cd /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
SCRIPT = """
MODULES = %r
import os, time
PLACES = "/", "/srv", MODULES, "/run", "/run/httpd", "/tmp"
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("/tmp/running", "w").close()
        while not os.path.exists("/tmp/go-on"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    body = environ["wsgi.input"].read()
    return [repr((os.getuid(), status["CapEff"].strip(), [place for place in PLACES
        if not os.statvfs(place).f_flag & os.ST_RDONLY], len(body))).encode()]
"""


pytestmark = pytest.mark.unsanitized("file systems that cannot be written to take no reports")


@pytest.fixture
def container(tmp_path):
    if os.getuid():
        pytest.skip("only root can make the file systems of a container")
    if subprocess.run(["unshare", "-m", "-p", "-f", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces can be made here")
    port, status, root = free_port(), free_port(), str(tmp_path)
    os.makedirs(tmp_path / "srv" / "app")
    for name in ("run", "tmp"):
        os.mkdir(tmp_path / name)
    conf = text_of(os.path.join(FILES, "httpd.conf"))
    for number, own in ((8080, port), (8081, status)):
        conf = conf.replace("Listen %d" % number, "Listen 127.0.0.1:%d" % own).replace("*:%d>" % number, "*:%d>" % own)
    (tmp_path / "srv" / "httpd.conf").write_text(conf)
    (tmp_path / "srv" / "app" / "app.wsgi").write_text(SCRIPT % query_apxs("LIBEXECDIR"))
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(tmp_path / "srv" / "app" / "venv")], check=True)
    setup = SETUP.format(root=root, modules=query_apxs("LIBEXECDIR"), images=os.path.dirname(MODULE))
    command = re.search(r'^CMD \["apache2", (.*)\]$', text_of(os.path.join(FILES, "Dockerfile")), re.M)[1]
    with open(tmp_path / "output", "w") as output:
        outer = subprocess.Popen(["unshare", "-m", "-p", "-f", "bash", "-ec", setup, "bash", httpd_program()]
                                 + re.findall(r'"([^"]+)"', command), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 start_new_session=True)
    one = Container(outer, port, status, tmp_path)
    try:
        wait_until(one.answers, one.story)
        yield one
    finally:
        for pid in children(outer.pid) if outer.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        outer.wait(30)


class Container:
    def __init__(self, outer, port, status, root):
        self.outer, self.port, self.status, self.root = outer, port, status, root

    def story(self):
        return (self.root / "output").read_text()

    def answers(self):
        assert self.outer.poll() is None, self.story()
        try:
            return self.ask("/").status == 200
        except OSError:
            return False

    def ask(self, path, method="GET", body=None, port=None):
        with Client(port or self.port) as client:
            return client.request(method, path, [], body)

    def signal(self, number):
        pid, = children(self.outer.pid)
        os.kill(pid, number)

    def inside(self, path):
        """Where a path of the container lies, as long as it runs."""
        return "/proc/%d/root%s" % (children(self.outer.pid)[0], path)


def test_httpd_without_root_on_file_systems_that_cannot_be_written_to(container):
    assert container.ask("/").text == repr((10001, "0" * 16, ["/run/httpd", "/tmp"], 0))
    # More than memory holds of a body, and than the application is given at once: it goes to /tmp.
    assert container.ask("/", "POST", b"x" * 300000).text.endswith(", 300000)")
    assert container.ask("/wsgi-status?json", port=container.status).status == 200
    assert "groups" not in container.ask("/wsgi-status?json").text
    deployment, _ = yaml.safe_load_all(text_of(os.path.join(FILES, "kubernetes.yaml")))
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"]
    wait_until(lambda: container.ask(probe, port=container.status).text == "ready\n", container.story)
    assert not re.search(r":(warn|error|crit)\]", container.story()), container.story()


def test_sigwinch_lets_a_request_end(container):
    with Client(container.port) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n")
        wait_until(lambda: os.path.exists(container.inside("/tmp/running")), container.story)
        go_on = container.inside("/tmp/go-on")
        container.signal(signal.SIGWINCH)
        wait_until(lambda: refused(container.port), "the end of listening")
        open(go_on, "w").close()
        answer = client.read_response("GET")
    assert answer.status == 200 and answer.text.startswith("(10001")
    assert container.outer.wait(30) == 0, container.story()


def refused(port):
    try:
        Client(port).close()
    except OSError:
        return True
    return False


def test_the_files_agree_with_each_other():
    docker, conf = (text_of(os.path.join(FILES, name)) for name in ("Dockerfile", "httpd.conf"))
    deployment, service = yaml.safe_load_all(text_of(os.path.join(FILES, "kubernetes.yaml")))
    pod = deployment["spec"]["template"]["spec"]
    container, = pod["containers"]
    user, group = re.search(r"^USER (\d+):(\d+)$", docker, re.M).groups()
    assert (int(user), int(group)) == (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"])
    ports = re.findall(r"^Listen (\d+)$", conf, re.M)
    assert ports == re.search(r"^EXPOSE (.*)$", docker, re.M)[1].split() == re.findall(r"<VirtualHost \*:(\d+)>", conf)
    assert ports == [str(port["containerPort"]) for port in container["ports"]]
    assert container["readinessProbe"]["httpGet"]["port"] == container["ports"][1]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert re.search(r"^STOPSIGNAL SIGWINCH$", docker, re.M)
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + int(re.search(r"^GracefulShutdownTimeout (\d+)$", conf, re.M)[1])
    assert container["securityContext"]["readOnlyRootFilesystem"] and not re.search(r"\buser=|^User ", conf, re.M)
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {re.search(r"^DefaultRuntimeDir (\S+)$", conf, re.M)[1], "/tmp"} == places
    for source, target in re.findall(r"^COPY (conf/\S+) (\S+)$", docker, re.M):
        assert os.path.exists(os.path.join(ROOT, source)), source
        assert target in docker.split("CMD")[1] or target in conf, target
