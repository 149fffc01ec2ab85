"""The README and the manual, as tests read them."""
import glob
import os
import re

from httpd_env import ROOT

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
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ {4}.*$", "", text, flags=re.M))


def anchors(text):
    """The names under which GitHub finds a document's headings."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def blocks(text):
    """Indented and fenced blocks, without what they share of indentation."""
    found = [block for _, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)]
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found += re.findall(r"(?:(?<=\n\n)|\A)((?:(?: {4}|\t).*\n|\n(?= {4}))+)", text)
    return ["\n".join(line[4:] if line.startswith("    ") else line for line in block.splitlines()) for block in found]
