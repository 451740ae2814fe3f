"""The WSGI application: ``gunicorn wsgi:app`` finds its settings in gunicorn.conf.py."""

from __future__ import annotations

from booking.app import create_app
from booking.config import Config

app = create_app(Config.from_environment())
