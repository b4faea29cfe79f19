"""Progress bars, where they are drawn."""

import nbclient
import nbformat
from tqdm import std

from dwikit.common import progress


def test_a_terminal_has_tqdm_s_own_bar():
    assert progress.tqdm is std.tqdm and not progress.in_notebook()


def test_a_notebook_keeps_one_line_and_nothing_red():
    source = """
from dwikit.common.progress import tqdm
print("before")
for i in tqdm(range(30), "Slices", unit="slice", leave=False):
    pass
tqdm.write("after")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    [cell] = nbclient.NotebookClient(notebook, kernel_name="python3").execute().cells
    said = [output.get("name") or output.output_type for output in cell.outputs]
    assert said == ["stdout", "display_data", "stdout"]
    line = cell.outputs[1]
    assert line.data["text/plain"].startswith("Slices: 100%|") and "30/30" in line.data["text/plain"]
    assert line.metadata == progress.TRANSIENT, "published notebooks leave it out"
