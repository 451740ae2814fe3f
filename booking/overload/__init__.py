"""What is done where more comes than can be served."""
