"""The type stubs describe the module as it is."""

import subprocess
import sys

import pytest

pytest.importorskip("mypy")


def test_stubs_agree_with_the_module(tmp_path):
    command = [sys.executable, "-m", "mypy.stubtest", "attriburn._native", "--ignore-missing-stub"]
    output = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert output.returncode == 0, output.stdout + output.stderr


def test_every_public_thing_has_a_docstring():
    import attriburn

    public = [(name, getattr(attriburn, name)) for name in attriburn.__all__]
    members = [
        (f"{name}.{member}", getattr(thing, member))
        for name, thing in public
        if isinstance(thing, type)
        for member in vars(thing)
        if not member.startswith("_")
    ]
    missing = [name for name, thing in public + members if not getattr(thing, "__doc__", None)]
    assert not missing, missing
