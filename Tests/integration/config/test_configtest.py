"""Every directive in every context with good, borderline and bad arguments: as mod_wsgi 6.1.1, but for listed differences.

With WSGI_TEST_REFERENCE_MODULE set to a mod_wsgi.so of 6.1.1, the recorded verdicts are checked against that as well.
"""
import os
import re
import shutil
import tempfile

import pytest

import config_trial
import httpd_env
from config_differences import DIFFERENCES, WORDS
from config_trial import ACCEPTED
from documents import chapter

# `make fuzz` has the reader of the configuration under it.
pytestmark = pytest.mark.unsanitized("thousands of starts of httpd take too long")

RECORDED = config_trial.Verdicts.load(config_trial.RECORDED)


def tried(module):
    staged = tempfile.mkdtemp(prefix="wsgi-configtest-")
    try:
        return config_trial.try_all(httpd_env.stage_module(staged, module))
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@pytest.fixture(scope="module")
def verdicts():
    return tried(httpd_env.MODULE)


def shared(refusal):
    """What of a refusal's words people search for; behind a directive's usage each module has its own."""
    return re.sub(r"(takes one argument|takes 1-2 arguments|requires at least two arguments), .*", r"\1", refusal).rstrip(".")


def agree(recorded, verdict):
    return recorded == verdict if ACCEPTED in (recorded, verdict) else verdict.startswith(shared(recorded))


def test_the_recorded_cases_are_those_of_the_tables():
    assert list(RECORDED) == config_trial.all_cases(), "run config_trial.py with a mod_wsgi.so of 6.1.1"
    assert len(RECORDED) > 3000


def test_every_verdict_is_that_of_the_reference_or_a_listed_difference(verdicts):
    wrong, used = [], set()
    for (where, text), recorded in RECORDED.items():
        verdict = verdicts[where, text]
        if agree(recorded, verdict) or (os.getuid() and "chroot=" in text):  # only root can ask for that
            continue
        listed = [difference for difference in DIFFERENCES if difference.applies(where, text, recorded)
                  and difference.matches(verdict)]
        used.update(listed)
        if not listed:
            wrong.append("%s: %r\n  6.1.1: %s\n  here:  %s" % (where, text, recorded, verdict))
    assert not wrong, "%d differences are not listed:\n%s" % (len(wrong), "\n".join(wrong[:40]))
    idle = [difference.cases for difference in DIFFERENCES if difference not in used]
    assert not idle, "listed, and not there: %s" % idle


def test_a_refusal_names_the_place_and_ends_as_a_sentence(verdicts):
    own = [verdict for verdict in verdicts.values() if re.match(r"(Invalid|WSGI|Unable|Name|Location|<WSGI)", verdict)
           and not re.search(r"not allowed (here|in)|perhaps misspelled|cannot occur within <VirtualHost>|takes |requires ",
                             verdict)]
    assert len(own) > 400
    assert not [verdict for verdict in own if not re.search(r"[.?]$", verdict)]


def test_the_manual_lists_every_difference():
    text = chapter("reference")
    assert not [title for title in {difference.title for difference in DIFFERENCES} - {WORDS} if title not in text]


@pytest.mark.skipif("WSGI_TEST_REFERENCE_MODULE" not in os.environ,
                    reason="WSGI_TEST_REFERENCE_MODULE names no mod_wsgi.so of 6.1.1")
def test_the_recorded_verdicts_are_those_of_the_reference():
    live = tried(os.environ["WSGI_TEST_REFERENCE_MODULE"])
    assert {case: verdict for case, verdict in RECORDED.items() if live[case] != verdict} == {}
