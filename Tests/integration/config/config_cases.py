"""The configtest matrix: directive × context × argument, made from tables, two thousand cases and more.

A case is a piece of configuration. Its expected verdict is that of mod_wsgi 6.1.1, recorded in `configtest/reference.tsv`,
unless `config_differences.py` lists it as a deliberate difference.
"""

# Where a line may stand. `{}` is the line.
CONTEXTS = [
    "{}",
    "<IfModule wsgi_module>\n{}\n</IfModule>",
    "<VirtualHost *:80>\n{}\n</VirtualHost>",
    "<Directory /x>\n{}\n</Directory>",
    "<DirectoryMatch ^/x>\n{}\n</DirectoryMatch>",
    "<Location /x>\n{}\n</Location>",
    "<LocationMatch ^/x>\n{}\n</LocationMatch>",
    "<Files x>\n{}\n</Files>",
    "<Directory /x>\n<Files x>\n{}\n</Files>\n</Directory>",
    "<VirtualHost *:80>\n<Directory /x>\n{}\n</Directory>\n</VirtualHost>",
    "<VirtualHost *:80>\n<Location /x>\n{}\n</Location>\n</VirtualHost>",
    "<If \"true\">\n{}\n</If>",
    "<Directory /x>\n<If \"true\">\n{}\n</If>\n</Directory>",
    "<Directory /x>\n<Limit GET>\n{}\n</Limit>\n</Directory>",
    "<WSGIInterpreterOptions>\n{}\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions application-group=a>\n{}\n</WSGIInterpreterOptions>",
    "<VirtualHost *:80>\n<WSGIInterpreterOptions>\n{}\n</WSGIInterpreterOptions>\n</VirtualHost>",
]
DIRECTORY = "<Directory /x>\n{}\n</Directory>"
OPTIONS = "<WSGIInterpreterOptions process-group=a>\n{}\n</WSGIInterpreterOptions>"

OVERRIDES = ["None", "FileInfo", "AuthConfig", "Limit", "Options", "Indexes", "All", "FileInfo AuthConfig"]

FLAGS = ["On", "Off", "on", "OFF", "oN", '"On"', "'Off'", "", '""', "yes", "no", "true", "1", "0", "O", "Onn", "x", "On Off",
         "On #"]
NAMES = ["a", "a.b-c_d", "%{GLOBAL}", "%{RESOURCE}", "%{SERVER}", "%{HOST}", "%{ENV:X}", "%{ENV:}", "%{OTHER}", "%", "a%{SERVER}",
         "\"a b\"", "'a b'", "a\\ b", '"', '""', "", "a b", "ä", "a:b", "/a/b"]
INTEGERS = ["0", "1", "2", "3", "007", "+1", "-1", "-0", " 1 ", '"1"', "99999999999999999999", "2147483647", "2147483648",
            "4294967295", "4294967296", "0x10", "1.5", "1e3", "abc", "1x", "x1", "", '""', "1 2"]
SECONDS = ["1", "0.5", ".5", "5.", "0.005", "1e-3", "1E2", "+1", "0", "0.0", "-1", "-0.1", "abc", "1x", "1s", "inf", "nan",
           "0x1p3", "",
           '""', "1 2", " 2 ", "1e400", "1,5"]
PATHS = ["/x", "x", "/x/y z", '"/x y"', "/x:/y", "", '""', "/x /y"]

# What each directive takes: an argument that is in order, and others, good and bad.
ARGUMENTS = {
    "WSGIScriptAlias": ("/x /y", [
        "", "/x", "/x /y z", "/x /y z=1", '"" /y', '/x ""', '"/x" "/y"', "'/x' '/y z'", "/ /y", "/x/ /y/", "x y", "/x /y /z",
        "/x /y process-group=", "/x /y process-group=a", "/x /y process-group=%{GLOBAL}", "/x /y process-group=%{ENV:X}",
        "/x /y process-group=a application-group=b", "/x /y process-group=%{GLOBAL} application-group=%{GLOBAL}",
        "/x /y process-group=%{GLOBAL} application-group=%{RESOURCE}", "/x /y process-group=a application-group=%{SERVER}",
        "/x /y process-group=%{SERVER} application-group=b", "/x /y application-group=", '/x /y application-group=""',
        "/x /y application-group=b", '/x /y application-group="a b"', "/x /y application-group='a b'",
        "/x /y application-group=%{RESOURCE}", "/x /y callable-object=", "/x /y callable-object=c",
        "/x /y callable-object=%{ENV:X}",
        "/x /y pass-authorization=", "/x /y pass-authorization=On", "/x /y pass-authorization=off",
        "/x /y pass-authorization=yes", "/x /y pass-authorization=1", "/x /y PROCESS-GROUP=a", "/x /y process-group =a",
        "/x /y process-group= a", "/x /y =a", '/x /y "process-group=a"', "/x /y process-group=a process-group=b",
        "/x /y user=a", "/x /y process-group=a#b", "/x /y process-group=\"a", "/x /y \\"]),
    "WSGIScriptAliasMatch": ("^/x /y", [
        "", "^/x", "((( /y", "[ /y", "* /y", "^/x(.*) /y/$1", "^/x(.*) /y/$1 process-group=a application-group=b",
        "^/x /y process-group=a application-group=b", "^/x /y process-group=%{GLOBAL} application-group=%{GLOBAL}",
        "^/x(.*) /y/$1 process-group=%{GLOBAL} application-group=%{GLOBAL}", "^/x /y application-group=", "^/x /y z=1",
        "^/x /y callable-object=c pass-authorization=On", '"" /y', "x{2,1} /y", "(?i)x /y"]),
    "WSGIHandlerScript": ("a /x", [
        "", "a", '"" /x', 'a ""', "a /x z", "a /x z=1", "a /x callable-object=b", "a /x process-group=", "a /x process-group=b",
        "a /x process-group=%{GLOBAL} application-group=%{GLOBAL}", "a /x application-group=", "a /x application-group=b",
        "a /x pass-authorization=1", "a /x pass-authorization=On", "a /x process-group=b application-group=%{ENV:X}", "a /x /y"]),
    "WSGIDispatchScript": ("/x", [
        "", '""', "/x /y", "/x z=1", "/x application-group=", "/x application-group=a", "/x application-group=%{SERVER}",
        "/x application-group=%{RESOURCE}", "/x application-group=%{ENV:X}", "/x process-group=a", "/x APPLICATION-GROUP=a"]),
    "WSGIImportScript": ("/x process-group=%{GLOBAL} application-group=%{GLOBAL}", [
        "", "/x", '"" process-group=%{GLOBAL} application-group=a', "/x application-group=a", "/x process-group=%{GLOBAL}",
        "/x process-group=a application-group=b", "/x process-group= application-group=b",
        "/x process-group=%{GLOBAL} application-group=", "/x process-group=%{GLOBAL} application-group=b z=1",
        "/x process-group=%{SERVER} application-group=b", "/x process-group=%{GLOBAL} application-group=%{RESOURCE}",
        "/x process-group=%{GLOBAL} application-group=b callable-object=c", "/x process-group=%{GLOBAL} application-group=b d",
        "/x process-group='%{GLOBAL}' application-group=\"a b\""]),
    "WSGICallableObject": ("a", NAMES),
    "WSGICaseSensitivity": ("On", FLAGS),
    "WSGIDaemonProcess": ("g", [
        "", '""', "g z", "g z=1", "g name=", "g name=h", '"a b"', '"a b" threads=2', "g threads= 5", "g threads =5",
        'g "threads=5"',
        'g "threads"=5', "g =5", "g THREADS=5", "g threads=1 threads=2", 'g home="/x y" lang=\'C\'', 'g home=/x"y z"',
        'g home="/x"y',
        'g lang="x', "g lang= threads=5", "g lang='' threads=5", "%{GLOBAL}", "%{ENV:X}", "g # threads=2", "a:b threads=1",
        "g user=daemon group=daemon processes=2 threads=15 home=/ display-name=%{GROUP} python-path=/x:/y"]),
    "WSGIProcessGroup": ("a", NAMES),
    "WSGIApplicationGroup": ("a", NAMES),
    "WSGIRestrictProcess": ("a", ["", "a b c", "%{GLOBAL}", '""', '"a b" c', "a a", "%{ENV:X}"]),
    "WSGIRestrictEmbedded": ("On", FLAGS),
    "WSGIPythonHome": ("/usr", PATHS),
    "WSGIPythonEggs": ("/x", PATHS),
    "WSGIPythonOptimize": ("1", INTEGERS),
    "WSGIPythonWarnings": ("error", ["", '""', "ignore::DeprecationWarning", "a b", '"a b"', "default:m:C:mod:1"]),
    "WSGIPythonHashSeed": ("1", INTEGERS + ["random", "Random", "RANDOM", "rand"]),
    "WSGIDontWriteBytecode": ("On", FLAGS),
    "WSGIDestroyInterpreter": ("On", FLAGS),
    "WSGIPythonPath": ("/x", PATHS),
    "WSGISwitchInterval": ("0.5", SECONDS),
    "WSGIPerInterpreterGIL": ("On", FLAGS),
    "WSGIFreeThreading": ("On", FLAGS),
    "WSGIRestrictStdin": ("On", FLAGS),
    "WSGIRestrictStdout": ("On", FLAGS),
    "WSGIRestrictSignal": ("On", FLAGS),
    "WSGIPassApacheRequest": ("On", FLAGS),
    "WSGIPassAuthorization": ("On", FLAGS),
    "WSGIScriptReloading": ("On", FLAGS),
    "WSGIErrorOverride": ("On", FLAGS),
    "WSGIChunkedRequest": ("On", FLAGS),
    "WSGIIgnoreActivity": ("On", FLAGS),
    "WSGIEnableSendfile": ("On", FLAGS),
    "WSGIMapHEADToGET": ("Auto", FLAGS + ["Auto", "auto", "AUTO", "Automatic", "'Auto'"]),
    "WSGITrustedProxyHeaders": ("X-Forwarded-For", [
        "", '""', "X-Forwarded-For X-Forwarded-Host", "x-forwarded-for", "X-Unknown", "X_Foo", "X@Y", "X-Foo:", "X Y Z",
        "X-Forwarded-For,X",
        '"X-Forwarded-For X"', "X-Real-IP X-Client-IP X-Forwarded-Proto X-Forwarded-Port X-Script-Name", "Ä", "X-Foo X_Foo"]),
    "WSGITrustedProxies": ("10.0.0.0/8", [
        "", '""', "foo", "10", "10.", "10.1", "10.1.2", "10.1.2.3", "10.1.2.3.", "10.1.2.3.4", "10.0/8", "10/8", "10.0.0.0/0",
        "0.0.0.0/0",
        "10.0.0.0/1", "10.0.0.0/32", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/255.0.0.0", "10.0.0.0/255.0.255.0", "10.0.0.0/255.0",
        "10.0.0.0/255.255.255.255", "10.0.0.0/0.0.0.0", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/08", "256.1.1.1", "1.2.3.256",
        "001.2.3.4",
        "1.2.3.4/8/8", "1..2.3", ".1.2.3", "/8", "::1", "::1/128", "::1/129", "::/0", "::/1", "::", "fe80::/10", "fe80::/129",
        "fe80::/x",
        "fe80::/", "FE80::1", "FE80::/10", "fe80::1%eth0", "::ffff:1.2.3.4", "::ffff:1.2.3.4/96", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "12345::", "g::", ":::", "10.0.0.1 10.0.0.2", "10.0.0.1 ::1 192.168.0.0/16", "10.0.0.1 foo",
        "10.0.0.1,10.0.0.2",
        "127.0.0.1:80", "localhost", "2001:db8::/32", "2001:DB8::/32"]),
    "WSGIAccessScript": ("/x", ["", '""', "/x z", "/x z=1", "/x application-group=", "/x application-group=a",
                                "/x application-group=%{SERVER}", "/x process-group=a", "/x /y"]),
    "WSGIAuthUserScript": ("/x", ["", '""', "/x z", "/x z=1", "/x application-group=", "/x application-group=a",
                                  "/x application-group=%{GLOBAL}", "/x process-group=a"]),
    "WSGIAuthGroupScript": ("/x", ["", '""', "/x z", "/x z=1", "/x application-group=", "/x application-group=a",
                                   "/x application-group=%{HOST}", "/x process-group=a"]),
    "WSGIGroupAuthoritative": ("On", FLAGS),
    "WSGIServerMetrics": ("On", FLAGS),
    "WSGITelemetryService": ("unix:/x", [
        "", '""', "foo", "unix:", "unix:x", "udp:localhost:1", "UNIX:/x", "unix:/x interval=0.4", "unix:/x interval=0.5",
        "unix:/x interval=1", "unix:/x interval=", "unix:/x interval=x", "unix:/x interval=1x", "unix:/x interval=-1",
        "unix:/x interval=inf", "unix:/x foo=1", "unix:/x 5", "unix:/x interval=1 a", "unix:/x INTERVAL=1",
        "unix:/" + "x" * 110]),
    "WSGISlowRequests": ("0.5", SECONDS),
    "WSGITelemetryOptions": ("CaptureUserAgent", [
        "", '""', "foo", "None", "All", "none", "ALL", "+CaptureUserAgent", "-CaptureUserAgent", "capturEuserAgent",
        "+CaptureUserAgent All", "All +CaptureUserAgent", "+CaptureUserAgent -CaptureUserAgent", "+All", "-None", "+", "-",
        "+foo",
        "None CaptureUserAgent", "All None", "CaptureUserAgent CaptureUserAgent", "++CaptureUserAgent"]),
    "WSGISocketPrefix": ("/x", PATHS),
    "WSGISocketRotation": ("On", FLAGS),
    "WSGIAcceptMutex": ("default", ["", '""', "flock", "FLOCK", "fcntl", "sysvsem", "posixsem", "pthread", "sem", "file:/x",
                                    "none", "foo",
                                    "default x"]),
    "WSGIVerboseDebugging": ("Off", FLAGS),
}
SCOPABLE = ["WSGIPythonPath", "WSGISwitchInterval", "WSGIPerInterpreterGIL", "WSGIFreeThreading", "WSGIRestrictStdin",
            "WSGIRestrictStdout", "WSGIRestrictSignal"]
NEEDS_DIRECTORY = ["WSGIAccessScript", "WSGIAuthUserScript", "WSGIAuthGroupScript", "WSGIGroupAuthoritative"]
EVERYWHERE = ["WSGICallableObject", "WSGIPassAuthorization", "WSGIScriptReloading", "WSGIErrorOverride", "WSGIChunkedRequest",
              "WSGIMapHEADToGET", "WSGIIgnoreActivity", "WSGITrustedProxyHeaders", "WSGITrustedProxies", "WSGIEnableSendfile"]

USERS = ["daemon", "nosuchuser", "#1", "#54321", "#", "#x", "#-1", "", "root", "#0", '"daemon"', "1", "#4294967295"]
GROUPS = ["daemon", "nosuchgroup", "#1", "#54321", "#", "#x", "", "root", "#0", "'daemon'", "1"]
COUNTS = ["0", "1", "2", "007", "65533", "65534", "2147483647", "2147483648", "99999999999999999999", "-1", "-0", "+1", "x",
          "2two", "1.5",
          "1e3", "0x10", "", '""', '"1"', "' 1'"]
TIMES = ["0", "1", "60", "2147483647", "-1", "x", "1x", "1.5", "", '""', '"1"', "1ms", "1s", "2min", "1h", "1d", "1 s", "1S",
         "h", "0s",
         "99999999999999999999"]
SIZES = ["0", "1", "511", "512", "8191", "8192", "65535", "65536", "1048576", "-1", "x", "1x", "", '""', "64K", "64k", "1M",
         "1G", "1T",
         "1.5M", "K", "99999999999999999999"]
TEXTS = ["x", "/x", '"x y"', "", '""', "%{GROUP}", "C.UTF-8", "ä"]
DAEMON_OPTIONS = {
    "user": USERS, "group": GROUPS, "supplementary-groups": GROUPS + ["daemon,sys", "daemon,,sys", ",", "daemon,nosuchgroup",
                                                                      "#1,#2"],
    "umask": ["0", "0022", "22", "777", "0777", "7777", "07777", "9", "8", "", '""', "x", "-1", "077x", "77777", "077777"],
    "chroot": ["/x", "x", "", '"/x y"'], "home": ["/x", "x", "", '"/x y"', "/"], "lang": TEXTS, "locale": TEXTS,
    "display-name": TEXTS,
    "socket-user": USERS, "script-user": USERS, "script-group": GROUPS, "python-home": TEXTS, "python-path": TEXTS + ["/x:/y"],
    "python-eggs": TEXTS, "switch-interval": SECONDS, "server-metrics": FLAGS, "processes": COUNTS, "threads": COUNTS,
    "stack-size": SIZES, "listen-backlog": COUNTS, "maximum-requests": COUNTS, "cpu-priority": COUNTS + ["-20", "-30", "19",
                                                                                                         "20"],
    "cpu-time-limit": TIMES, "memory-limit": SIZES, "virtual-memory-limit": SIZES, "send-buffer-size": SIZES,
    "receive-buffer-size": SIZES, "header-buffer-size": SIZES, "response-buffer-size": SIZES,
    "python": ["/usr/bin/python3", "python3", ""], "reload": ["restart", "rolling", "never", ""], "queue-limit": COUNTS,
}
for name in ("startup", "shutdown", "deadlock", "inactivity", "request", "interrupt", "graceful", "eviction", "connect",
             "socket", "queue",
             "response-socket"):
    DAEMON_OPTIONS[name + "-timeout"] = TIMES
for name in ("restart-interval", "response-flush-delay"):
    DAEMON_OPTIONS[name] = TIMES

# Sections, groups of other servers, and lines that belong together.
TOGETHER = [
    "<WSGIInterpreterOptions\n</WSGIInterpreterOptions>", "<WSGIInterpreterOptions foo>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>", "<WSGIInterpreterOptions foo=bar>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions process-group=a>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions process-group=a process-group=b>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions process-group=>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions =a>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions PROCESS-GROUP=a Application-Group=b>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions process-group=%{GLOBAL} application-group=%{GLOBAL}>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions process-group=\"a b\">\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions \"process-group=a b\">\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions>\n<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions>\nServerAdmin x\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions>\nNoSuchDirective\n</WSGIInterpreterOptions>",
    "<WSGIInterpreterOptions>\n", "</WSGIInterpreterOptions>",
    "WSGIDaemonProcess a\nWSGIDaemonProcess a", "WSGIDaemonProcess a\nWSGIDaemonProcess b",
    "WSGIDaemonProcess a\nWSGIScriptAlias /x /y process-group=a application-group=b",
    "WSGIDaemonProcess a\nWSGIScriptAlias /x /y process-group=A application-group=b",
    "WSGIScriptAlias /x /y process-group=a application-group=b\nWSGIDaemonProcess a",
    "WSGIDaemonProcess a\nWSGIImportScript /x process-group=a application-group=b",
    "WSGIImportScript /x process-group=a application-group=b\nWSGIDaemonProcess a",
    "WSGIDaemonProcess a\n<VirtualHost *:80>\nWSGIImportScript /x process-group=a application-group=b\n</VirtualHost>",
    "WSGIDaemonProcess a script-user=daemon script-group=daemon", "WSGIDaemonProcess a script-group=daemon script-user=daemon",
    "<VirtualHost *:80>\nServerName a\nWSGIDaemonProcess g\n</VirtualHost>\n"
    "<VirtualHost *:81>\nServerName a\nWSGIDaemonProcess g\n</VirtualHost>",
    "WSGIScriptAlias /x /y\nWSGIScriptAlias /x /z", "WSGIPythonHome /x\nWSGIPythonHome /y",
    "WSGIHandlerScript a /x\nWSGIHandlerScript a /y",
    "WSGITrustedProxies 10.0.0.1\nWSGITrustedProxies 10.0.0.2",
    "WSGITelemetryOptions +CaptureUserAgent\nWSGITelemetryOptions None",
    "WSGIProcessGroup nosuch", "<Location /x>\nWSGIProcessGroup nosuch\n</Location>", "WSGIScriptAlias /x \\\n/y",
]
GROUP = "<VirtualHost *:80>\n{}WSGIDaemonProcess g\n</VirtualHost>\n"
USE = "<VirtualHost *:81>\n{}%s\n</VirtualHost>"
for line in ("WSGIImportScript /x process-group=g application-group=b",
             "WSGIScriptAlias /x /y process-group=g application-group=b"):
    for owner in ("", "ServerName a\n", "ServerName localhost\n"):
        for user in ("", "ServerName a\n", "ServerName b\n"):
            TOGETHER.append(GROUP.format(owner) + (USE % line).format(user))
        TOGETHER.append(GROUP.format(owner) + line)
# Gone from mod_wsgi, or never there.
UNKNOWN = ["WSGILazyInitialization On", "WSGINewRelicConfigFile /x", "WSGINewRelicEnvironment x", "WSGIUserAuthoritative On",
           "WSGIAuthUserAuthoritative On", "WSGIReloadMechanism Process", "WSGIRestrictInterpreter On", "WSGI On",
           "WSGIScriptAlia /x /y"]


def configtest_cases():
    """The pieces of configuration to try with `apache2 -t`, each once."""
    cases = {}
    for directive, (good, others) in ARGUMENTS.items():
        for context in CONTEXTS:
            cases[context.format("%s %s" % (directive, good))] = None
        home = DIRECTORY if directive in NEEDS_DIRECTORY else "{}"
        homes = [home] + ([OPTIONS] if directive in SCOPABLE else []) + ([DIRECTORY] if directive in EVERYWHERE else [])
        for argument in [good] + others:
            for context in homes:
                cases[context.format(("%s %s" % (directive, argument)).rstrip(" "))] = None
    for option, values in DAEMON_OPTIONS.items():
        for value in values:
            cases["WSGIDaemonProcess g %s=%s" % (option, value)] = None
    for text in TOGETHER + UNKNOWN:
        cases[text] = None
    return list(cases)


def access_file_cases():
    """Lines of `.htaccess` files, each with the AllowOverride that it is tried under."""
    cases = {}
    for directive, (good, others) in ARGUMENTS.items():
        for override in OVERRIDES:
            cases[(override, "%s %s" % (directive, good))] = None
        if directive in EVERYWHERE + NEEDS_DIRECTORY:
            for argument in others:
                cases[("All", ("%s %s" % (directive, argument)).rstrip(" "))] = None
    cases[("All", "<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>")] = None
    return list(cases)


if __name__ == "__main__":
    print("%d cases of configtest, %d of .htaccess" % (len(configtest_cases()), len(access_file_cases())))
