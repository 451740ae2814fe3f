"""Responses that are whole: werkzeug finds nothing to add to them."""

from __future__ import annotations

import pytest
from flask import Flask, Response

from booking.controllers import problems
from booking.controllers.responses import WholeResponse, data_response
from booking.errors import BookingNotFound, Overloaded, Unauthenticated


def _assert_is_whole(response: Response) -> None:
    assert isinstance(response, WholeResponse)
    made_by_werkzeug = Response.get_wsgi_headers(response, {})
    assert list(response.get_wsgi_headers({})) == list(made_by_werkzeug)
    assert response.headers["Content-Length"] == str(len(response.get_data()))


def test_success_is_whole() -> None:
    _assert_is_whole(data_response([{"name": "Łukasz"}], meta={"limit": 1}))


def test_created_is_whole() -> None:
    location = "/api/bookings/018f4d5e-7c1a-7c3b-9f60-1d2c3b4a5968"
    _assert_is_whole(data_response({}, status=201, headers={"Location": location}))


@pytest.mark.parametrize("error", [BookingNotFound(), Overloaded(), Unauthenticated(), OSError()])
def test_problem_is_whole(error: Exception) -> None:
    app = Flask(__name__)
    problems.init_app(app)
    with app.test_request_context("/api/bookings/Łukasz"):
        answer = app.make_response(app.handle_user_exception(error))
    _assert_is_whole(answer)
