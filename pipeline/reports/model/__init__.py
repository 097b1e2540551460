"""What stands in the JSON files below `reports/`: built once, read again by the same models.

Markdown, CSV, the page and `verify` are functions of them. The files may come from a colleague by
git, so what these rely on is checked in the models; which number stands where is for
pipeline/reports/build.py to say.
"""
