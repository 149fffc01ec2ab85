"""What directives make of interpreters: scripts loaded at start, `<WSGIInterpreterOptions>`, and the WSGIPython… family."""
import os
import re
import subprocess
import sys

import pytest

from httpd_env import MODES, Httpd, wait_until

GROUPS = {"embedded": "%{GLOBAL}", "daemon": "site"}
DAEMON = "WSGISocketPrefix {root}/wsgi\nWSGIDaemonProcess site threads=4 processes=1 python-path={lib}\n"


def aliases(*applications):
    """Aliases to the script in each mode: /embedded-one for the application group `one`; `main` is the main interpreter."""
    lines = [DAEMON] if "daemon" in MODES else []
    for mode in MODES:
        for name in applications:
            lines.append("WSGIScriptAlias /%s-%s {apps}/app.wsgi process-group=%s application-group=%s" % (
                mode, name, GROUPS[mode], "%{GLOBAL}" if name == "main" else name))
    return "\n".join(lines) + "\n"


def facts(server, mode, name="main"):
    answer = server.get("/%s-%s/facts" % (mode, name))
    assert answer.status == 200, answer
    return eval(answer.text)


def lines_of(server, name):
    try:
        with open(os.path.join(server.apps, name)) as journal:
            return sorted(journal.read().splitlines())
    except OSError:
        return []


def start(conf, prepare=None, **more):
    environment = {name: "" for name in os.environ if re.match("PYTHON(DONTWRITE|HASHSEED|OPTIMIZE|WARNINGS)", name)}
    server = Httpd(conf, apps="directives", name="interpreters", environment=environment, **more)
    os.chmod(server.apps, 0o777)
    if prepare:
        prepare(server)
    return server


# MARK: scripts that are loaded when a process starts

IMPORTS = {
    "import": "WSGIImportScript {apps}/imported.py process-group=%s application-group=one",
    "alias": "WSGIScriptAlias /x {apps}/imported.py process-group=%s application-group=one",
    "pattern": "WSGIScriptAliasMatch ^/x {apps}/imported.py process-group=%s application-group=one",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_a_script_is_loaded_before_the_first_request(mode, way):
    conf = (DAEMON if mode == "daemon" else "") + IMPORTS[way] % GROUPS[mode] + "\n"
    if way == "import":
        conf += "WSGIScriptAlias /x {apps}/imported.py process-group=%s application-group=one\n" % GROUPS[mode]
    server = start(conf)
    server.answers = lambda: bool(lines_of(server, "imports"))
    with server:
        group, name, pid = wait_until(lambda: lines_of(server, "imports"), "the import")[0].split("|")
        assert (group, name) == ({"embedded": "", "daemon": "site"}[mode], "one")
        # The request finds the module that is there.
        module, served_by, count, *_ = eval(server.get("/x").text)
        assert served_by == int(pid) and count == 1
        assert lines_of(server, "imports") == ["%s|%s|%s" % (group, name, pid)]


def test_every_process_loads_it(mode):
    conf = DAEMON.replace("processes=1", "processes=3") if mode == "daemon" else ""
    server = start(conf + IMPORTS["import"] % GROUPS[mode], processes=2)
    with server:
        expected = {"embedded": len(server.children()), "daemon": 3}[mode]
        found = wait_until(lambda: lines_of(server, "imports")[expected - 1:] and lines_of(server, "imports"), "all imports")
        assert len({line.split("|")[2] for line in found}) == len(found)


def test_scripts_are_loaded_in_the_order_of_the_configuration(mode):
    def prepare(server):
        for index in range(5):
            with open(os.path.join(server.apps, "s%d.py" % index), "w") as script:
                script.write("with open(%r, 'a') as journal:\n    journal.write('%d')\n" % (os.path.join(server.apps, "order"),
                                                                                            index))
    order = [3, 1, 4, 0, 2]
    conf = (DAEMON if mode == "daemon" else "") + "\n".join(
        "WSGIImportScript {apps}/s%d.py process-group=%s application-group=%s" % (index, GROUPS[mode], index % 2)
        for index in order)
    with start(conf, prepare) as server:
        wait_until(lambda: lines_of(server, "order") == ["31402"], lambda: "the order, %s" % lines_of(server, "order"))


def test_a_script_that_fails_is_logged_and_the_rest_goes_on(mode):
    def prepare(server):
        with open(os.path.join(server.apps, "broken.py"), "w") as script:
            script.write("raise RuntimeError('not today')\n")
    conf = (DAEMON if mode == "daemon" else "") + "\n".join(
        "WSGIImportScript {apps}/%s.py process-group=%s application-group=one" % (name, GROUPS[mode])
        for name in ("broken", "nosuch", "imported"))
    with start(conf, prepare) as server:
        wait_until(lambda: lines_of(server, "imports"), "the script behind the broken ones")
        server.log.wait_for("RuntimeError: not today")
        server.log.wait_for("nosuch.py")


def test_an_imported_script_in_a_group_that_is_reached_by_directives(mode):
    conf = ((DAEMON if mode == "daemon" else "") + IMPORTS["import"] % GROUPS[mode] + "\nWSGIScriptAlias /x {apps}/imported.py\n"
            "WSGIProcessGroup %s\nWSGIApplicationGroup one" % GROUPS[mode])
    with start(conf) as server:
        wait_until(lambda: lines_of(server, "imports"), "the import")
        assert eval(server.get("/x").text)[2] == 1
        assert len(lines_of(server, "imports")) == len({line.split("|")[2] for line in lines_of(server, "imports")})


# MARK: <WSGIInterpreterOptions>

BLOCKS = """
WSGIPythonPath {lib}:{root}/base
WSGISwitchInterval 0.011
<WSGIInterpreterOptions application-group=one>
    WSGIPythonPath {root}/one
    WSGIRestrictStdin On
</WSGIInterpreterOptions>
<WSGIInterpreterOptions>
    WSGIPythonPath {root}/all
    WSGIRestrictStdin Off
    WSGIRestrictSignal Off
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=%{GLOBAL}>
    WSGIPythonPath {root}/embedded
    WSGISwitchInterval 0.022
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=site>
    WSGIPythonPath {root}/daemon
    WSGISwitchInterval 0.033
    WSGIRestrictStdout On
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=site application-group=one>
    WSGIPythonPath {root}/both
    WSGIRestrictStdout Off
</WSGIInterpreterOptions>
<WSGIInterpreterOptions application-group=one>
    WSGIPythonPath {root}/later
</WSGIInterpreterOptions>
<WSGIInterpreterOptions application-group=%{GLOBAL}>
    WSGIRestrictStdin On
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=other application-group=one>
    WSGIPythonPath {root}/other
    WSGISwitchInterval 0.5
</WSGIInterpreterOptions>
"""
LAYERS = ["base", "one", "all", "embedded", "daemon", "both", "later", "other"]


@pytest.fixture(scope="module")
def blocks():
    def prepare(server):
        for name in LAYERS:
            server.make_directory(name)
    with start(aliases("main", "one", "two") + BLOCKS, prepare) as server:
        yield server


# What is in front, the innermost first.
PATHS = {
    ("embedded", "main"): ["embedded", "all", "base"], ("embedded", "one"): ["later", "embedded", "one", "all", "base"],
    ("embedded", "two"): ["embedded", "all", "base"],
    ("daemon", "main"): ["daemon", "all"], ("daemon", "one"): ["both", "later", "daemon", "one", "all"],
    ("daemon", "two"): ["daemon", "all"],
}


@pytest.mark.parametrize("name", ["main", "one", "two"])
def test_path_layers_add_up_and_the_innermost_comes_first(blocks, mode, name):
    seen = [os.path.basename(path) for path in facts(blocks, mode, name)["path"] if os.path.dirname(path) == blocks.root]
    assert [entry for entry in seen if entry != "lib"] == PATHS[mode, name]


INTERVALS = {("embedded", "main"): 0.022, ("daemon", "main"): 0.033, ("embedded", "two"): 0.022, ("daemon", "two"): 0.033}


@pytest.mark.parametrize("name", ["main", "two"])
def test_the_switch_interval_of_the_narrowest_block(blocks, mode, name):
    assert facts(blocks, mode, name)["interval"] == pytest.approx(INTERVALS[mode, name])


NO_STDIN, NO_STDOUT = ("sys.%s access restricted by mod_wsgi" % name for name in ("stdin", "stdout"))
STANDARD = {
    ("embedded", "main"): [NO_STDIN, "26"], ("embedded", "one"): [NO_STDIN, "26"], ("embedded", "two"): ["''", "26"],
    ("daemon", "main"): [NO_STDIN, NO_STDOUT], ("daemon", "one"): [NO_STDIN, "26"], ("daemon", "two"): ["''", NO_STDOUT],
}


WART = pytest.mark.difference("the reference may run %{GLOBAL} in a sub-interpreter on Python 3.11 and older")


@pytest.mark.parametrize("name", [pytest.param("main", marks=WART), "one", "two"])
def test_the_narrowest_block_decides_about_standard_streams(blocks, mode, name):
    answer = blocks.get("/%s-%s/standard" % (mode, name))
    assert answer.status == 200 and eval(answer.text)[:2] == STANDARD[mode, name]


def test_an_interval_for_one_application_group_is_not_its_own_to_set(mode):
    conf = aliases("main", "one") + ("<WSGIInterpreterOptions application-group=one>\nWSGISwitchInterval 0.25\n"
                                     "</WSGIInterpreterOptions>")
    with start(conf) as server:
        before = facts(server, mode)["interval"]
        assert facts(server, mode, "one")["interval"] == before
        server.log.wait_for("WSGI0199")


def test_signals_may_be_registered_where_they_are_not_restricted(mode):
    conf = aliases("main", "one") + ("WSGIRestrictSignal Off\n<WSGIInterpreterOptions application-group=one>\n"
                                     "WSGIRestrictSignal On\n</WSGIInterpreterOptions>")
    with start(conf) as server:
        # Python itself has the main thread alone register handlers; a restricted one is not told so.
        assert eval(server.get("/%s-main/standard" % mode).text)[2] == "not the main thread"
        assert eval(server.get("/%s-one/standard" % mode).text)[2] == "ignored"


# MARK: WSGIPython…

def test_the_settings_of_python(mode):
    conf = aliases("main", "one") + ("WSGIPythonOptimize 1\nWSGIDontWriteBytecode On\nWSGIPythonEggs {root}/eggs\n"
                                     "WSGIPythonWarnings error::BytesWarning\n"
                                     "WSGIPythonWarnings ignore::ResourceWarning\nWSGIPythonHashSeed 123\n")
    with start(conf) as server:
        for name in ("main", "one"):
            seen = facts(server, mode, name)
            assert seen["flags"]["optimize"] == 1 and seen["debug"] is False
            assert seen["flags"]["dont_write_bytecode"] and not os.path.exists(os.path.join(server.root, "lib", "__pycache__"))
            assert seen["options"] == ["error::BytesWarning", "ignore::ResourceWarning"]
            assert seen["warnings"][:2] == [("ignore", "ResourceWarning"), ("error", "BytesWarning")]
            assert seen["eggs"] == (os.path.join(server.root, "eggs") if mode == "embedded" else None)
            assert seen["seed"] is None and seen["hash"] == fixed_hash("123")


def test_python_as_it_is(mode):
    with start(aliases("main")) as server:
        seen = facts(server, mode)
        assert seen["flags"]["optimize"] == 0 and not seen["flags"]["dont_write_bytecode"] and seen["debug"]
        assert seen["flags"]["hash_randomization"] == 1 and seen["options"] == [] and seen["eggs"] is None


def test_an_optimisation_level_is_the_name_of_the_bytecode(mode):
    def prepare(server):
        os.chmod(os.path.join(server.root, "lib"), 0o777)
    with start(aliases("main") + "WSGIPythonOptimize 2", prepare) as server:
        assert facts(server, mode)["flags"]["optimize"] == 2
        cached = os.listdir(os.path.join(server.root, "lib", "__pycache__"))
        assert cached and all(name.endswith(".opt-2.pyc") for name in cached)


def fixed_hash(seed):
    home = os.environ.get("WSGI_TEST_PYTHON_HOME")
    program = os.path.join(home, "bin", "python3") if home else sys.executable
    return int(subprocess.check_output([program, "-c", "print(hash('the same text'))"],
                                       env=dict(os.environ, PYTHONHASHSEED=seed), text=True))


@pytest.mark.difference("random is a seed of 0 there")
def test_a_random_hash_seed_is_random(mode):
    hashes = set()
    for _ in range(3):
        with start(aliases("main") + "WSGIPythonHashSeed random") as server:
            hashes.add(facts(server, mode)["hash"])
    assert len(hashes) == 3 and fixed_hash("0") not in hashes


def test_all_processes_have_a_fixed_seed():
    seen = set()
    with start(aliases("main") + "WSGIPythonHashSeed 0") as server:
        for mode in MODES:
            seen.add(facts(server, mode)["hash"])
    assert seen == {fixed_hash("0")}


def test_a_pth_file_on_the_path_is_read(mode):
    def prepare(server):
        extra, path = server.make_directory("extra"), server.make_directory("path")
        with open(os.path.join(path, "more.pth"), "w") as lines:
            lines.write(extra + "\n")
    conf = aliases("main").replace("python-path={lib}", "python-path={lib}:{root}/path") + "WSGIPythonPath {lib}:{root}/path"
    with start(conf, prepare) as server:
        path = facts(server, mode)["path"]
        assert path.index(os.path.join(server.root, "path")) < path.index(os.path.join(server.root, "extra")) < 4


@pytest.mark.parametrize("option", ["WSGIDestroyInterpreter On", "WSGIDestroyInterpreter Off"])
def test_interpreters_end_with_their_process_unless_told_otherwise(mode, option):
    def prepare(server):
        with open(os.path.join(server.apps, "leaver.py"), "w") as script:
            script.write("import atexit\natexit.register(lambda: open(%r, 'w').close())\n" % os.path.join(server.apps, "left"))
    imports = "\nWSGIImportScript {apps}/leaver.py process-group=%s application-group=one\n" % GROUPS[mode]
    server = start(aliases("main") + option + imports, prepare)
    with server:
        facts(server, mode)
        server.stop()
        assert os.path.exists(os.path.join(server.apps, "left")) == option.endswith("On")
