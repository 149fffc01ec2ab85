"""environ: which keys there are, where their values come from, and what never gets in."""
import ast
import json
import os
import re
import time

import pytest

from httpd_env import MODES, REFERENCE, Site


def SITE():
    conf = ["SetEnv FROM_SETENV value", "SetEnv REQUEST_METHOD spoofed", "SetEnv wsgi.version spoofed", "SetEnv PATH /spoofed",
            "SetEnv mod_wsgi.x-internal spoofed", "SetEnvIf Request_URI /tls HTTPS=on", "SetEnvIf Request_URI /TLS HTTPS=On",
            "SetEnvIf Request_URI /numbered HTTPS=1", "SetEnvIf Request_URI /notls HTTPS=off", "ServerAdmin admin@example.com",
            "SetEnvIf Request_URI /flag FLAG"]
    for mode in MODES:
        group = "site" if mode == "daemon" else "%{GLOBAL}"
        conf += ["WSGIScriptAlias /%s-authorized {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL} "
                 "pass-authorization=On" % (mode, group),
                 "<Location /%s/passes>" % mode, "WSGIPassAuthorization On", "</Location>",
                 "<Location /%s/cgipass>" % mode, "CGIPassAuth On", "</Location>",
                 "<Location /%s/chunked>" % mode, "WSGIChunkedRequest On", "</Location>",
                 "<Location /%s/mapped>" % mode, "WSGIMapHEADToGET On", "</Location>",
                 "<Location /%s/unmapped>" % mode, "WSGIMapHEADToGET Off", "SetOutputFilter DEFLATE", "</Location>",
                 "<Location /%s/deflated>" % mode, "SetOutputFilter DEFLATE", "</Location>",
                 "<Location /%s/other>" % mode, "WSGICallableObject other", "</Location>"]
    return Site("environ", conf="\n".join(conf), modules=["deflate", "filter", "unique_id"],
                daemon_options="threads=8 processes=1")


def environ(site, mode, path="", headers=(), method="GET", body=None):
    answer = site.request(mode, method, path, headers, body)
    assert answer.status == 200, answer
    return {key: value[1] if value[0] == "str" else (value[0], value[1]) for key, value in json.loads(answer.body).items()}


def test_keys_that_are_always_there(site, mode):
    seen = environ(site, mode, "/some/path?a=1&b=%20")
    port = str(site.httpd.port)
    expected = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/" + mode, "PATH_INFO": "/some/path", "QUERY_STRING": "a=1&b=%20",
        "REQUEST_URI": "/%s/some/path?a=1&b=%%20" % mode, "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",  # as the Host header says
        "SERVER_ADDR": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
        "SERVER_ADMIN": "admin@example.com", "DOCUMENT_ROOT": site.httpd.docs, "SCRIPT_FILENAME": site.path(),
        "HTTP_HOST": "localhost", "FROM_SETENV": "value", "test.types": "str", "test.dict": "dict",
        "CONTEXT_PREFIX": "", "CONTEXT_DOCUMENT_ROOT": site.httpd.docs,
        "mod_wsgi.process_group": "site" if mode == "daemon" else "", "mod_wsgi.application_group": "",
        "mod_wsgi.callable_object": "application", "mod_wsgi.request_handler": "wsgi-script", "mod_wsgi.handler_script": "",
        "mod_wsgi.listener_port": port, "mod_wsgi.script_name": "/" + mode, "mod_wsgi.path_info": "/some/path",
        "wsgi.url_scheme": "http",
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert 1024 < int(seen["REMOTE_PORT"]) < 65536
    assert "Apache" in seen["SERVER_SOFTWARE"]
    assert "mod_wsgi.listener_host" in seen
    assert int(seen["mod_wsgi.server_pid"]) in site.httpd.children()
    assert len(seen["mod_wsgi.request_id"]) > 5


def test_native_values(site, mode):
    seen = environ(site, mode)
    assert seen["wsgi.version"] == ("tuple", "(1, 0)")
    assert seen["wsgi.multithread"] == ("bool", "True")
    # Both have one process; the daemon group mentions `processes`, which says that there may be more.
    assert seen["wsgi.multiprocess"] == ("bool", str(mode == "daemon"))
    assert seen["wsgi.run_once"] == ("bool", "False")
    assert seen["wsgi.input_terminated"] == ("bool", "True")
    assert seen["wsgi.input"][0] == "Input" and seen["wsgi.file_wrapper"][0] == "type"
    assert "FileWrapper" in seen["wsgi.file_wrapper"][1]
    assert seen["wsgi.errors"][0] == "TextIOWrapper"
    apache = ast.literal_eval(seen["apache.version"][1])
    assert len(apache) == 3 and apache[:2] == (2, 4)
    assert len(ast.literal_eval(seen["mod_wsgi.version"][1])) == 3
    assert seen["mod_wsgi.thread_id"][0] == "int"


def test_times(site, mode):
    before = time.time()
    seen = environ(site, mode)
    after = time.time()
    times = {}
    for key in ("request_start", "queue_start", "daemon_start", "application_start"):
        kind, value = seen["mod_wsgi." + key]
        assert kind == "float"
        times[key] = float(value)
    slack = 0.01  # httpd keeps microseconds
    assert before - slack <= times["request_start"] <= times["application_start"] <= after + slack
    if mode == "embedded":
        assert times["queue_start"] == times["daemon_start"] == 0.0
    else:
        assert times["request_start"] <= times["queue_start"] <= times["daemon_start"] <= times["application_start"]


def test_cgi_and_wsgi_keys_win_over_setenv(site, mode):
    seen = environ(site, mode)
    assert seen["REQUEST_METHOD"] == "GET"
    assert seen["wsgi.version"] == ("tuple", "(1, 0)")
    assert "mod_wsgi.x-internal" not in seen
    assert not [key for key in seen if key.startswith("mod_wsgi.x-")]


NEVER = ["GATEWAY_INTERFACE", "PATH_TRANSLATED", "SERVER_SIGNATURE", "REMOTE_HOST", "REMOTE_IDENT", "PATH", "LD_LIBRARY_PATH",
         "HTTPS", "REMOTE_USER", "AUTH_TYPE", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH",
         "apache.request_rec"]


def test_keys_that_are_never_there(site, mode):
    seen = environ(site, mode)
    assert not [key for key in NEVER if key in seen]


HEADERS = {
    "ordinary": ([("X-Test", "one")], {"HTTP_X_TEST": "one"}),
    "lower case": ([("x-lower-case", "one")], {"HTTP_X_LOWER_CASE": "one"}),
    "digits": ([("X-1-2", "one")], {"HTTP_X_1_2": "one"}),
    "repeated": ([("X-Two", "one"), ("X-Two", "two")], {"HTTP_X_TWO": "one, two"}),
    "empty": ([("X-Empty", "")], {"HTTP_X_EMPTY": ""}),
    "latin-1": ([("X-Latin", "caf\xe9 \xff")], {"HTTP_X_LATIN": "caf\xe9 \xff"}),
    "utf-8 bytes": ([("X-Bytes", "\xc3\xa9")], {"HTTP_X_BYTES": "\xc3\xa9"}),
    "underscore": ([("X_Under", "spoof")], {"HTTP_X_UNDER": None}),
    "dot": ([("X.Dot", "spoof")], {"HTTP_X_DOT": None}),
    "underscore beside dash": ([("X-Real", "true"), ("X_Real", "spoof")], {"HTTP_X_REAL": "true"}),
    "httpoxy": ([("Proxy", "evil:80")], {"HTTP_PROXY": None}),
    "authorization": ([("Authorization", "Basic eDp5")], {"HTTP_AUTHORIZATION": None}),
    "proxy authorization": ([("Proxy-Authorization", "Basic eDp5")], {"HTTP_PROXY_AUTHORIZATION": None}),
    "content type": ([("Content-Type", "text/x-own")], {"CONTENT_TYPE": "text/x-own", "HTTP_CONTENT_TYPE": None}),
    "cookie": ([("Cookie", "a=1; b=2")], {"HTTP_COOKIE": "a=1; b=2"}),
}


@pytest.mark.parametrize("row", HEADERS)
def test_headers(site, mode, row):
    headers, expected = HEADERS[row]
    seen = environ(site, mode, "", headers)
    assert {key: seen.get(key) for key in expected} == expected


def test_a_header_of_eight_kilobytes_and_a_hundred_headers(site, mode):
    headers = [("X-Long", "l" * 8000)] + [("X-H%d" % index, "value %d" % index) for index in range(90)]
    seen = environ(site, mode, "", headers)
    assert seen["HTTP_X_LONG"] == "l" * 8000
    assert [seen["HTTP_X_H%d" % index] for index in range(90)] == ["value %d" % index for index in range(90)]


PATHS = {
    "plain": ("", "", ""),
    "slash": ("/", "/", ""),
    "runs collapsed": ("//a//b", "/a/b", ""),
    "decoded": ("/caf%C3%A9%20x", "/caf\xc3\xa9 x", ""),
    "query": ("/a?b=c%20d&e", "/a", "b=c%20d&e"),
    "empty query": ("/a?", "/a", ""),
    "question marks": ("/a?b?c", "/a", "b?c"),
    "dots": ("/a/../b/./c", "/b/c", ""),
    "parameters": ("/a;v=1,2", "/a;v=1,2", ""),
}


@pytest.mark.parametrize("row", PATHS)
def test_paths(site, mode, row):
    path, path_info, query = PATHS[row]
    seen = environ(site, mode, path)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/" + mode, path_info, query)
    assert seen["REQUEST_URI"] == "/%s%s" % (mode, path)


@pytest.mark.parametrize("path, scheme", [("/tls", "https"), ("/TLS", "https"), ("/numbered", "https"), ("/notls", "http")])
def test_scheme(site, mode, path, scheme):
    seen = environ(site, mode, path)
    assert seen["wsgi.url_scheme"] == scheme and "HTTPS" not in seen


@pytest.mark.parametrize("path, expected", [("/passes", {"HTTP_AUTHORIZATION": "Basic eDp5", "HTTP_PROXY_AUTHORIZATION": None}),
                                            ("/cgipass", {"HTTP_AUTHORIZATION": "Basic eDp5"})])
def test_passing_authorization(site, mode, path, expected):
    seen = environ(site, mode, path, [("Authorization", "Basic eDp5"), ("Proxy-Authorization", "Basic eDp5")])
    assert {key: seen.get(key) for key in expected} == expected


def test_passing_authorization_as_an_option(site, mode):
    answer = site.httpd.get("/%s-authorized" % mode, [("Authorization", "Basic eDp5")])
    assert json.loads(answer.body)["HTTP_AUTHORIZATION"][1] == "Basic eDp5"


@pytest.mark.parametrize("path, method", [("", "HEAD"), ("/mapped", "GET"), ("/unmapped", "HEAD"), ("/deflated", "GET")])
def test_head_mapped_to_get(site, mode, path, method):
    answer = site.request(mode, "HEAD", path, [("Accept-Encoding", "gzip")])
    assert answer.status == 200 and answer.body == b"" and answer.header("X-Method") == method


def test_request_bodies(site, mode):
    seen = environ(site, mode, "", [("Content-Type", "text/plain")], method="POST", body=b"12345")
    assert (seen["CONTENT_LENGTH"], seen["CONTENT_TYPE"], seen["REQUEST_METHOD"]) == ("5", "text/plain", "POST")


def test_chunked_bodies(site, mode):
    with site.httpd.client() as client:
        answer = client.request("POST", "/%s/chunked" % mode, [("Transfer-Encoding", "chunked")], b"5\r\n12345\r\n0\r\n\r\n")
    seen = json.loads(answer.body)
    assert "CONTENT_LENGTH" not in seen and seen["HTTP_TRANSFER_ENCODING"][1] == "chunked"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"])
def test_methods(site, mode, method):
    assert environ(site, mode, "", method=method)["REQUEST_METHOD"] == method


def test_callable_object(site, mode):
    seen = environ(site, mode, "/other")
    assert seen["test.other"] == "other" and seen["mod_wsgi.callable_object"] == "other"


def test_http_1_0_without_a_host(site, mode):
    seen = json.loads(site.request(mode, "GET", "", version="HTTP/1.0").body)
    assert seen["SERVER_PROTOCOL"][1] == "HTTP/1.0" and "HTTP_HOST" not in seen and seen["SERVER_NAME"][1] == "localhost"


def test_an_environ_does_not_leak_into_the_next(site, mode):
    environ(site, mode, "/other")
    with site.httpd.client() as client:
        first = json.loads(client.request("GET", "/%s/one" % mode, [("X-Once", "1")]).body)
        second = json.loads(client.request("GET", "/%s/two" % mode).body)
    assert "HTTP_X_ONCE" in first and "HTTP_X_ONCE" not in second and "test.other" not in second


@pytest.mark.skipif(REFERENCE, reason="the reference joins its documents in another way")
def test_the_key_table_is_complete(site, mode):
    seen = environ(site, mode)
    mine = {key for key in seen if key.startswith("mod_wsgi.")}
    assert {"mod_wsgi." + name for name in (
        "version process_group application_group callable_object request_handler handler_script listener_host listener_port "
        "script_name path_info server_pid request_id request_start queue_start daemon_start application_start thread_id"
    ).split()} <= mine
    assert {key for key in seen if key.startswith("wsgi.")} == {"wsgi." + name for name in (
        "version url_scheme input errors input_terminated file_wrapper multithread multiprocess run_once").split()}
    assert not [key for key in os.environ if key in seen and re.match(r"HOME|USER|PATH|LANG$", key)]
