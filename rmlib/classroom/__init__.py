"""For classes: learners' copies of the lessons, nbgrader courses, and the start of JupyterLab."""
