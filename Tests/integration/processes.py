"""Processes of this machine, as /proc shows them. Any of them may end while it is looked at."""
import os
import signal
import time


def about(pid, name):
    """A file that /proc has about a process; empty where that has ended."""
    try:
        with open("/proc/%s/%s" % (pid, name), errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def fields(pid):
    """Those of /proc/PID/stat from the state on; none where the process has ended."""
    return about(pid, "stat").rpartition(")")[2].split()


def name_of(pid):
    return about(pid, "comm").strip()


def memory_of(pid):
    """Resident memory that is the process's own, in bytes."""
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


def beginning(pid):
    """When a process began, in ticks of the kernel's clock; None where there is none. Another one, or a thread, may soon have the
    pid of one that has ended."""
    found = fields(pid)
    return int(found[19]) if len(found) > 19 else None


def noted(pids):
    """Processes with their beginnings, so that `remaining` knows them again."""
    return {pid: beginning(pid) for pid in pids}


def remaining(processes):
    """Those of the noted ones that are still there, be it as zombies."""
    return [pid for pid, begun in processes.items() if begun is not None and beginning(pid) == begun]


def has_ended(pid):
    """A zombie has: it waits for whatever adopts orphans here. So has one whose pid a thread has got."""
    if fields(pid)[:1] in ([], ["Z"]):
        return True
    group = about(pid, "status").partition("\nTgid:\t")[2].partition("\n")[0]
    return group not in ("", str(pid))


def stop_process(pid):
    """Stops a process (SIGSTOP), and waits until each of its threads has stopped: one may have taken something up till then."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 60
    while {fields("%d/task/%s" % (pid, thread))[:1] == ["T"] for thread in os.listdir("/proc/%d/task" % pid)} != {True}:
        assert time.monotonic() < end, "process %d does not stop" % pid
        time.sleep(0.001)


def parent_of(pid):
    return int((fields(pid) + ["", "0"])[1] or 0)


def every_pid():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def children(pid):
    """The pids of the direct children of a process."""
    return [one for one in every_pid() if parent_of(one) == pid]


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def named(pid, name):
    """The descendants of a process that have a name; longer ones are cut by the kernel."""
    return [one for one in descendants(pid) if name_of(one) == name[:15]]


def open_files(pid):
    """What a process's descriptors stand for, as /proc says."""
    found = []
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, name)))
        except OSError:
            pass
    return found


def supervisors(pid):
    """The supervisors of an httpd; what they fork for workers bears their name at first, and is none of its children."""
    return [one for one in children(pid) if name_of(one) == "wsgi-supervisor"]


def called(*words):
    """The processes whose command line begins so: without a supervisor workers are nobody's descendants."""
    return [pid for pid in every_pid() if about(pid, "cmdline").split("\0")[:len(words)] == list(words)]
