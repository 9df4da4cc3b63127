"""What a class needs: the learner's copies of the lessons, nbgrader courses, and the start of JupyterLab."""
