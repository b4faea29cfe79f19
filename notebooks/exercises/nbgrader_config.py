"""How nbgrader treats the exercises: this folder is the course, with source/ (solutions and hidden tests) and release/."""

from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader provides it)
c.CourseDirectory.course_id = "dwikit"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.ExecutePreprocessor.timeout = 60
