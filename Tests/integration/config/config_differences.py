"""Where this module's verdict on a configuration is not that of 6.1.1, and why. The manual's reference lists each title."""
import re

from config_trial import ACCEPTED


class Difference:
    """`cases` says which: a pattern of the configuration's text, and one of where it stands. `verdict` is what comes instead: a
    refusal's beginning (a pattern), or ACCEPTED. The verdict may be the reference's own where the difference is its words."""

    def __init__(self, title, cases, verdict, reference=ACCEPTED, where="."):
        self.title, self.cases, self.where, self.verdict, self.reference = title, cases, where, verdict, reference

    def applies(self, where, text, recorded):
        return bool(re.search(self.where, where) and re.search(self.cases, text, re.S) and
                    (recorded == ACCEPTED if self.reference is ACCEPTED else re.search(self.reference, recorded)))

    def matches(self, verdict):
        return verdict == ACCEPTED if self.verdict is ACCEPTED else bool(re.match(self.verdict, verdict))


WHOLE = r"WSGIDaemonProcess g (processes|threads|listen-backlog|maximum-requests|cpu-priority)="
TIME = r"WSGIDaemonProcess g (\S+-timeout|restart-interval|response-flush-delay|cpu-time-limit)="
SIZE = r"WSGIDaemonProcess g (stack-size|memory-limit|virtual-memory-limit)="
BUFFER = r"WSGIDaemonProcess g (send|receive|header|response)-buffer-size="
JUNK = "A number followed by other characters, or no number"
UNITS = "Units: `ms`, `s`, `min`, `h`; `K`, `M`, `G`"
NO_NUMBER = "Infinite, hexadecimal or meaningless numbers"
OUTSIDE = "Directives for the whole server inside `<WSGIInterpreterOptions>`"
HEADERS = "A `WSGITrustedProxyHeaders` name that no header can have"
EMPTY = "`WSGITrustedProxies` or `WSGITrustedProxyHeaders` without an argument"
ACCESS_FILES = "`WSGIHandlerScript`, `WSGIDispatchScript` and `WSGIPassApacheRequest` in `.htaccess`"
NEW = "Options that 6.1.1 lacks"
ORDER = "Any order of lines"
WORDS = "The same refusal in other words"

DIFFERENCES = [
    Difference(WORDS, r"^WSGIReloadMechanism Process$", r"WSGIReloadMechanism must be one of: Module \| Interpreter",
               "Invalid command 'WSGIReloadMechanism'"),
    Difference(JUNK, WHOLE + r"('? ?1|x|\dtwo|1\.5|1e3|0x10)",
               r"Invalid .* for WSGI daemon process\. \S+=.*: it must be a whole number"),
    Difference(JUNK, TIME + r"(x|1x|1\.5|1d|h)$", r"Invalid .* for WSGI daemon process\. \S+=.*: it must be a whole number"),
    Difference(JUNK, SIZE + r"(x|1x|1T|1\.5M|K)$", r"Invalid .* for WSGI daemon process\. \S+=.*: it must be a whole number"),
    Difference(JUNK, BUFFER + r"(x|K)$", r".* buffer size must be >= \d+ bytes, or 0 for .*"),
    Difference(JUNK, r"WSGIDaemonProcess g \S+=#x?$",
               r"Invalid .* for WSGI daemon process\. \S+=#x?: write a number after '#'"),
    Difference(JUNK, r"WSGIDaemonProcess g user=#x?$",
               r"Invalid user for WSGI daemon process\. user=#x?: write a number after '#'",
               "blocked from running as root"),
    Difference(JUNK, r"^WSGIPythonOptimize (0x10|1\.5|1e3|abc|1x|x1)$", r"Invalid value for WSGIPythonOptimize\. '.*' is not"),
    Difference(JUNK, r"^WSGISlowRequests (abc|1x|1,5)$",
               r"WSGISlowRequests threshold must be non-negative\. '.*' is not a number"),
    Difference(JUNK, r"^WSGITelemetryService unix:/x interval=1x$", r"WSGITelemetryService interval must be at least 0\.5"),
    Difference(NO_NUMBER, r"WSGISwitchInterval (inf|nan|0x1p3|1e400)",
               r"WSGISwitchInterval must be a positive number of seconds\. '.*' is"),
    Difference(NO_NUMBER, r"switch-interval=(inf|nan|0x1p3|1e400)$",
               r"Invalid switch interval for WSGI daemon process\. switch-interval="),
    Difference(NO_NUMBER, r"^WSGISlowRequests (inf|nan|0x1p3|1e400)$",
               r"WSGISlowRequests threshold must be non-negative\. '.*' is not a number"),
    Difference(NO_NUMBER, r"^WSGITelemetryService unix:/x interval=inf$", r"WSGITelemetryService interval must be at least 0\.5"),
    Difference(NO_NUMBER, r"^WSGIPythonOptimize (-1|\d{10,})$",
               r"Invalid value for WSGIPythonOptimize\. '.*' is not an optimisation level"),
    Difference(NO_NUMBER, r"^WSGIDaemonProcess g cpu-priority=\d{10,}$",
               r"Invalid CPU priority for WSGI daemon process\. cpu-priority="),
    Difference(NO_NUMBER, SIZE + r"\d{20}$", r"Invalid .* limit for WSGI daemon process\. \S+="),
    Difference(NO_NUMBER, r"^WSGIDaemonProcess g maximum-requests=2147483648$", ACCEPTED, "Invalid request count"),
    Difference(NO_NUMBER, r"^WSGIDaemonProcess g umask=0?77777$", r"Invalid umask for WSGI daemon process\."),
    Difference(UNITS, BUFFER + r"(64K|64k|1M|1G)$", ACCEPTED, "buffer size must be >="),
    Difference(UNITS, r"(WSGISwitchInterval |switch-interval=)1s", ACCEPTED, "switch interval|positive number of seconds"),
    Difference(OUTSIDE, r"<WSGIInterpreterOptions[^>]*>\n(?!WSGI)", r"\S+ cannot occur within <WSGIInterpreterOptions>"),
    Difference(OUTSIDE, r"<WSGIInterpreterOptions[^>]*>\nWSGI",
               r"\S+ cannot occur within <WSGIInterpreterOptions>: it would apply"),
    Difference(HEADERS, r'WSGITrustedProxyHeaders ("X-F|""|X_Foo|X@Y|X-Foo:|X-Forwarded-For,|Ä|X-Foo X_)',
               r"Invalid header name for WSGITrustedProxyHeaders: '.*'\. A name has"),
    Difference(EMPTY, r"(WSGITrustedProxies|WSGITrustedProxyHeaders)(\n|$)", r"WSGITrusted\S+ requires at least one argument"),
    Difference("Upper-case IPv6 addresses", r"WSGITrustedProxies (FE80::1|FE80::/10|2001:DB8::/32)", ACCEPTED,
               "Unable to parse trusted proxy"),
    Difference("A relative, empty or overlong path in `WSGITelemetryService`", r"WSGITelemetryService unix:(x?$|/x{110})",
               r"WSGITelemetryService target (must be 'unix:/path', not 'unix:x?'|is too long)"),
    Difference("An empty argument of `WSGITelemetryOptions`", r'^WSGITelemetryOptions ""$',
               r"WSGITelemetryOptions: bare '\+' / '-' is not a flag"),
    Difference("An option after an empty value: `lang= threads=5`", r"process-group= application-group=b",
               "Invalid name for WSGI process group", "application group required"),
    Difference("Quotes around a selector's value", r"^<WSGIInterpreterOptions process-group=\"a b\">", ACCEPTED,
               "not of the form key=value"),
    Difference(ACCESS_FILES, r"^(WSGIHandlerScript|WSGIDispatchScript|WSGIPassApacheRequest) ", ACCEPTED, "not allowed here",
               "FileInfo|All"),
    Difference(NEW, r"g (python=/usr/bin/python3|reload=r\w+|queue-limit=(1|2|007|\d{5}|2147483647|\+1|\"1\"))$", ACCEPTED,
               "Invalid option to WSGI daemon"),
    Difference(NEW, r"g (python=(python3)?|reload=(never)?|queue-limit=\S*( 1')?)$",
               r"Invalid .* for WSGI daemon process\. (python|reload|queue-limit)=",
               "Invalid option to WSGI daemon"),
    Difference(ORDER, r"^WSGI(ScriptAlias|ImportScript) .*\nWSGIDaemonProcess a$", ACCEPTED, "not yet configured"),
    Difference(ORDER, r"<VirtualHost \*:80>\n(ServerName localhost\n)?WSGIDaemonProcess g\n</VirtualHost>\n"
               r"(<VirtualHost \*:81>\n)?WSGI", ACCEPTED, "group not matchable"),
    Difference(WORDS, r"WSGIDaemonProcess g\n</VirtualHost>", "WSGI process group not accessible. 'g', which",
               "group not matchable"),
    Difference(WORDS, r"=(daemon,)?(nosuchuser|nosuchgroup|1)$",
               r"Invalid .* for WSGI daemon process\. \S+=\S+: bad (user|group) name \S+: the system",
               r"AH0054[34]: \S+: bad (user|group) name"),
    Difference(WORDS, r"user=#(-1|4294967295)$", r"Invalid .*user for WSGI daemon process\. \S+: write a number after '#'",
               "Couldn't determine (uid|user name) from"),
    Difference(WORDS, r"WSGITrustedProxies /8", r'Unable to parse trusted proxy IP address/subnet of "/8"\. The specified',
               "Invalid argument"),
    Difference(WORDS, r'^WSGITelemetryService (""|foo|udp:localhost:1|UNIX:/x)$',
               "WSGITelemetryService target must be 'unix:/path', not '",
               "takes 1-2 arguments|target must be 'unix:/path'"),
    Difference(WORDS, r"<WSGIInterpreterOptions[^>]*>\n(WSGIA|WSGIG|NoSuch)", r"\S+ cannot occur within <WSGIInterpreterOptions>",
               "not allowed in|perhaps misspelled"),
    Difference(WORDS, r"^<WSGIInterpreterOptions =a>", "<WSGIInterpreterOptions>: argument '=a' is not of the form key=value",
               "unknown selector ''"),
]
