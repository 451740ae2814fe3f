"""How gunicorn serves: its worker, what it says to what is no HTTP, and its log."""
