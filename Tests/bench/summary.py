"""The tables for the manual's chapter on performance that a whole run of bench.py ends with."""
import statistics

MODES = ("embedded", "daemon")
# Workload, what of it, whom it is measured against ("…" stands for the mode), the goal in each mode, and whether less is better.
RATIOS = [
    ("hello", "rate", "6.1.1 …", (2.3, 1.8)),
    ("hello", "rate", "C floor …", (0.95, 1.0)),
    ("hello", "rate", "uWSGI behind httpd", (1.3, 1.05)),
    ("hello", "cpu", "6.1.1 …", (0.5, 0.55)),
    ("page 30 KB", "rate", "6.1.1 …", (2.1, 1.8)),
    ("100 blocks", "rate", "6.1.1 …", (3, 1.5)),
    ("100 blocks", "rate", "C floor …", (0.75, 0.75)),
    ("no keep-alive", "rate", "6.1.1 …", (1.5, 1.5)),
    ("one connection", "rate", "6.1.1 …", (1.0, 1.5)),
    ("256 connections", "rate", "6.1.1 …", (1.0, 1.0)),
    ("256 connections", "p99", "6.1.1 …", (1.0, 1.0)),
    ("upload 1 MB", "rate", "6.1.1 …", (1.0, 1.0)),
    ("file 10 MB", "rate", "static file", (0.9, 0.9)),
    ("computing", "rate", "6.1.1 …", (1.0, 1.0)),
    ("computing", "p99", "6.1.1 …", (0.6, 0.6)),
    ("waiting 10 ms", "rate", "6.1.1 …", (1.0, 1.0)),
]
WORDS = {"rate": "requests/s", "cpu": "CPU µs a request", "p99": "p99"}


def middle(rounds, key):
    return statistics.median(one[key] for one in rounds)


def ratio(found, load, key, ours, other):
    """The median of the ratios within a round; None where one of the two was not measured."""
    pairs = zip(found.get(load, {}).get(ours, []), found.get(load, {}).get(other, []))
    ratios = [a[key] / b[key] for a, b in pairs if b[key]]
    return statistics.median(ratios) if ratios else None


def show(found):
    """`found`: workload → server → rounds. Prints what was measured of it."""
    print("\n## Against the others (medians of the ratios within a round; the goal in brackets)\n")
    print("| workload | of | against | embedded | daemon |\n| --- | --- | --- | ---: | ---: |")
    for load, key, other, goals in RATIOS:
        cells = []
        for mode, goal in zip(MODES, goals):
            value = ratio(found, load, key, "ours " + mode, other.replace("…", mode))
            cells.append("–" if value is None else "%.2f × (%s %g)" % (value, "≥" if key == "rate" else "≤", goal))
        if cells != ["–", "–"]:
            print("| %s | %s | %s | %s |" % (load, WORDS[key], other.replace(" …", ", same mode"), " | ".join(cells)))
    print("\n## Figures\n")
    columns = " | ".join("%s: requests/s | CPU µs | p50 ms | p99 ms" % mode for mode in MODES)
    print("| workload | %s | failures |" % columns)
    print("| --- |" + " ---: |" * 9)
    for load, servers in found.items():
        cells, failures = [], 0
        for mode in MODES:
            rounds = servers.get("ours " + mode)
            if not rounds:
                cells.append("– | – | – | –")
                continue
            failures += sum(one["failures"] for one in rounds)
            cells.append("%s | %.0f | %.2f | %.2f" % (
                "{:,.0f}".format(middle(rounds, "rate")), middle(rounds, "cpu"), middle(rounds, "p50"), middle(rounds, "p99")))
        print("| %s | %s | %d |" % (load, " | ".join(cells), failures))
