"""Each link in the README and in the manual leads to a file, and to a heading, that is there."""
import os
import re

import pytest

from documents import DOCUMENTS, anchors, prose
from httpd_env import ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.M)


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
def test_links_lead_somewhere(path):
    broken = []
    for target in (first or second for first, second in LINK.findall(prose(DOCUMENTS[path]))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        to = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(os.path.join(ROOT, to)) or anchor and anchor not in anchors(DOCUMENTS[to]):
            broken.append(target)
    assert not broken


def test_the_index_and_the_readme_name_every_chapter():
    for page, place in (("conf/manual/index.md", ""), ("README.md", "conf/manual/")):
        for path in sorted(DOCUMENTS):
            if path not in ("README.md", "conf/manual/index.md"):
                assert "](%s%s)" % (place, os.path.basename(path)) in DOCUMENTS[page], (page, path)


def test_the_readme_is_short():
    assert len(DOCUMENTS["README.md"].splitlines()) <= 150
