"""What the course adds to nbgrader: model answers and formulas on feedback pages, and one table of all points.

``notebooks/exercises/nbgrader_config.py`` names these classes; docs/lecturers.md says how they are used.
"""

import csv
import re
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_solution

from dwikit.course import formulas, own_seed

NOT_HANDED_IN = "not handed in"
MARKS = re.compile(r"^\s*(###|<!--) (BEGIN|END) SOLUTION( -->)?\n?", re.MULTILINE)


class Points(ExportPlugin):
    """``nbgrader export``: one row a student, one column an exercise, and totals.

    What was not handed in says so instead of counting as 0 points. ``to mark`` counts answers in words that have points and no
    mark yet: a total is complete where it is 0. ``of`` is the sum of points of all exercises, ``seed`` the student's own.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Writes the table to ``--to``, by default grades.csv; ``--student`` and ``--assignment`` choose rows and columns."""
        exercises = [one for one in gradebook.assignments if not self.assignment or one.name in self.assignment]
        exercises.sort(key=lambda one: one.name)
        students = [one for one in gradebook.students if not self.student or one.id in self.student]
        names = [one.name for one in exercises]
        with open(self.to or "grades.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["student", *names, "handed in", "to mark", "total", "of", "seed"])
            table.writeheader()
            for student in sorted(students, key=lambda one: one.id):
                points, to_mark = {}, 0
                for name in names:
                    try:
                        submission = gradebook.find_submission(name, student.id)
                    except MissingEntry:
                        continue
                    points[name] = max(0.0, submission.score - submission.late_submission_penalty)
                    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                    to_mark += sum(grade.needs_manual_grade and grade.max_score > 0 for grade in grades)
                row = dict.fromkeys(names, NOT_HANDED_IN) | points
                row |= {"student": student.id, "handed in": len(points), "to mark": to_mark, "seed": own_seed(student.id)}
                table.writerow(row | {"total": sum(points.values()), "of": sum(one.max_score for one in exercises)})


class ModelAnswers(NbGraderPreprocessor):
    """Puts the model answer below each answer on a feedback page."""

    def preprocess(self, nb, resources):
        """Adds a cell after each that a student filled in, from the exercise of the same name in ``source/``."""
        course, names = CourseDirectory(parent=self), resources["nbgrader"]
        folder = Path(course.format_path(course.source_directory, ".", names["assignment"]))
        source = nbformat.read(folder / f"{names['notebook']}.ipynb", as_version=4)
        answers = {cell.metadata.nbgrader.grade_id: cell for cell in source.cells if is_solution(cell)}
        cells = []
        for cell in nb.cells:
            cells.append(cell)
            if is_solution(cell) and (answer := answers.get(cell.metadata.nbgrader.grade_id)):
                cells.append(nbformat.v4.new_markdown_cell(model_answer(answer)))
        nb.cells = cells
        return nb, resources


def model_answer(cell: nbformat.NotebookNode) -> str:
    """The answer in a cell of ``source/`` as Markdown."""
    text = MARKS.sub("", cell.source).strip()
    return f"**Model answer**\n\n```python\n{text}\n```" if cell.cell_type == "code" else f"**Model answer.** {text}"


class Formulas(NbGraderPreprocessor):
    """Draws the formulas of a feedback page, which then needs no network for them."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Replaces ``$...$`` and ``$$...$$`` in text."""
        if cell.cell_type == "markdown":
            cell.source = formulas.with_svg(cell.source)
        return cell, resources
