"""The commands of ``python -m booking``, and how the server's processes are run."""
