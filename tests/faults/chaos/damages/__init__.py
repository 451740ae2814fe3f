"""What can be wrong with the story that is told in conftest.py, by the check that must find it."""
