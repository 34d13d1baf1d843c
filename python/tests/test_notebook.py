"""The notebook runs from top to bottom."""

import os
import pathlib
import shutil
import sys

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = pathlib.Path(__file__).parents[1] / "notebooks" / "tour.ipynb"


def test_notebook_runs(tmp_path, monkeypatch):
    # The command of this environment.
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    copy = shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(copy, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") + str(output.get("data", "")) for output in outputs)
    assert "Egyptian cat" in text and "relative standard error" in text and "image/png" in text
    assert (tmp_path / "maps" / "report.html").is_file()
