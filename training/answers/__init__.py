"""The project's first questions, answered by measurement: ``python -m training answers`` writes docs/answers.md."""
