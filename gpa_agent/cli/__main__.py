"""``python -m gpa_agent.cli``, the same as ``gpa``."""

from gpa_agent.cli import main

main()
