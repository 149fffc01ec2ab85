"""The README and the manual, as tests read them.

A fenced block says behind its language who tries it: `test=NAME`, an example that a test asks for, or `untested="why"`. With
`file=PATH` the block is that file.
"""
import glob
import os
import re
import shlex

from httpd_env import ROOT

FENCE = re.compile(r"^( *)```(\w*)(.*)\n((?:.*\n)*?)\1```$", re.M)
MANUAL = os.path.join(ROOT, "conf", "manual")


def text_of(path):
    with open(path, encoding="utf-8") as document:
        return document.read()


def chapter(name):
    """The text of a chapter, as "reference"."""
    return text_of(os.path.join(MANUAL, name + ".md"))


def read_all():
    paths = [os.path.join(ROOT, "README.md")] + sorted(glob.glob(os.path.join(MANUAL, "*.md")))
    return {os.path.relpath(path, ROOT): text_of(path) for path in paths}


# Their texts, by their paths below the root.
DOCUMENTS = read_all()


def prose(text):
    """A document without what it shows as it is."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(text):
    """The names under which GitHub finds a document's headings."""
    text = FENCE.sub("", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


class Block:
    def __init__(self, document, line, language, mark, text):
        self.language, self.text = language, text
        self.where = "%s:%d" % (document, line)
        self.marks = dict(part.partition("=")[::2] for part in shlex.split(mark))

    def __repr__(self):
        return self.where


def find_blocks():
    found = []
    for document, text in DOCUMENTS.items():
        for match in FENCE.finditer(text):
            indent, language, mark, body = match.groups()
            body = re.sub("^" + indent, "", body, flags=re.M)
            found.append(Block(document, text.count("\n", 0, match.start()) + 1, language, mark, body))
    return found


BLOCKS = find_blocks()


def example(name):
    """The blocks of one example, in their order."""
    found = [block for block in BLOCKS if block.marks.get("test") == name]
    assert found, "no block is marked with test=%s" % name
    return found
