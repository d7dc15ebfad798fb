"""One turn: who asks and what, the rubric that fits, the tailored prompt, the record."""
