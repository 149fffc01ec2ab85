"""Tests that fail now and then for a known reason that cannot be mended here: `folder/test_file.py::test_name` to reason.

Each is tried once more when it fails; what its first failure said is shown at the end all the same. Any other test that fails
has failed.
"""
QUARANTINE = {}
