"""What lets the application do without Flask's care for coroutines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from flask import Flask

from booking.app import create_app
from tests.support.factories import make_config


def _called_by_flask(app: Flask) -> Iterator[Callable[..., Any]]:
    yield from app.view_functions.values()
    yield from app.teardown_appcontext_funcs
    for hooks in (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs):
        yield from chain.from_iterable(hooks.values())
    for of_codes in app.error_handler_spec.values():
        yield from chain.from_iterable(handlers.values() for handlers in of_codes.values())


def test_no_view_or_hook_is_a_coroutine() -> None:
    found = list(_called_by_flask(create_app(make_config())))
    assert len(found) > 20
    assert not [each for each in found if inspect.iscoroutinefunction(each)]
