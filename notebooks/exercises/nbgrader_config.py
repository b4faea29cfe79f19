"""How nbgrader treats the exercises: this folder is the course, with source/ (solutions and hidden tests) and release/."""

import os
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import GetGrades

from dwikit.course import grading

c = get_config()  # noqa: F821 (nbgrader provides it)
c.CourseDirectory.course_id = "dwikit"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.ExecutePreprocessor.timeout = 60
c.ExportApp.plugin_class = grading.Points
c.GenerateFeedback.preprocessors = [GetGrades, grading.ModelAnswers, grading.Formulas, CSSHTMLHeaderPreprocessor]
if "DWIKIT_EXCHANGE" in os.environ:
    c.Exchange.root = os.environ["DWIKIT_EXCHANGE"]
