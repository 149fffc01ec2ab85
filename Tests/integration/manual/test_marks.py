"""Each block of the README and the manual is tried by a test, or says why it is not."""
import glob
import os
import re
import subprocess

from documents import BLOCKS, DOCUMENTS, FENCE, example, text_of
from httpd_env import ROOT

HERE = os.path.dirname(os.path.abspath(__file__))


def test_every_block_is_marked():
    wrong = [block for block in BLOCKS if not block.language or len({"test", "untested"} & set(block.marks)) != 1
             or not all(block.marks.values()) or set(block.marks) - {"test", "untested", "file"}]
    assert BLOCKS and not wrong


def test_no_block_is_indented():
    """They could not be marked."""
    for path, text in DOCUMENTS.items():
        assert not re.findall(r"(?<=\n\n)(?: {4}|\t).*", FENCE.sub("", text)), path


def test_every_example_is_tried_by_a_test():
    tried = {name for path in glob.glob(os.path.join(HERE, "*.py")) + glob.glob(os.path.join(HERE, "..", "*", "*.py"))
             for name in re.findall(r"\bexample\(\"([\w-]+)\"\)", text_of(path))}
    assert {block.marks["test"] for block in BLOCKS if "test" in block.marks} == tried


def test_what_the_documents_make_can_be_made():
    """The targets of their `make` lines exist; what they do, the other tests and the build show."""
    blocks = example("make") + [block for block in BLOCKS if block.language == "sh"]
    lines = [re.sub(r"\s{2,}#.*| &&.*", "", line) for block in blocks for line in block.text.splitlines()
             if line.startswith("make ")]
    assert len(lines) >= 10
    # What it asks of Python and apxs takes most of the time of a dry run, and does not matter to it.
    environment = dict(os.environ, PYTHON="true", APXS="true", APR_CONFIG="true")
    for line in sorted(set(lines)):
        done = subprocess.run(["sh", "-c", line.replace("make ", "make -n ", 1)], cwd=ROOT, capture_output=True, text=True,
                              env=environment)
        assert done.returncode == 0, (line, done.stderr)
