"""docs/live.md names every close code, every frame and every path."""

import re
import typing

import pytest

from sessions.live import frames, hub, routing
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
CODES = ("BAD_FRAME", "SIGN_IN", "MAY_NOT_SEE", "GONE", "LAGGING", "TOO_MANY", "OUR_FAULT")
SHAPES = [
    shape for shape in vars(frames).values() if typing.is_typeddict(shape) and "type" in typing.get_type_hints(shape)
]


@pytest.mark.parametrize("name", CODES)
def test_every_close_code_has_its_row(name):
    assert re.search(rf"^\| {getattr(hub, name)} \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_field_of_every_frame_is_named(shape):
    missing = [field for field in typing.get_type_hints(shape) if field not in TEXT]
    assert missing == []


def test_every_path_is_named():
    named = set(re.findall(r"`/(ws/[^`?]*)", TEXT))
    routes = routing.websocket._application.routes
    paths = {str(route.pattern).replace("<uuid:session_id>", "{id}") for route in routes}
    assert paths - {""} == named
