"""What a page was made of goes with its making, not with the collector's next round."""

import gc
import weakref

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import TemplateDoesNotExist, engines
from django.template.loader import render_to_string
from django.test import RequestFactory

from tests.factories import make_user
from tests.web.conftest import signed_in

pytestmark = pytest.mark.django_db


class Shown:
    """Something that a page shows, and that can be looked after."""

    def __str__(self) -> str:
        return "a harbour"


@pytest.fixture
def request_of_nobody():
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    return request


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
def test_a_rendered_page_holds_nothing(request_of_nobody):
    shown = Shown()
    gone = weakref.ref(shown)
    html = render_to_string("404.html", {"exception": shown}, request_of_nobody)
    assert "<html" in html
    assert gone() is shown
    del shown
    assert gone() is None


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("request_given", [True, False])
def test_a_page_that_fails_holds_nothing_either(request_of_nobody, request_given):
    shown = Shown()
    gone = weakref.ref(shown)
    template = engines.all()[0].get_template("sessions/_row.html")
    with pytest.raises(AttributeError):
        template.render(
            {"session": shown, "now": None, "can_change": True}, request_of_nobody if request_given else None
        )
    del shown
    assert gone() is None


def test_a_template_that_is_not_there_is_named():
    with pytest.raises(TemplateDoesNotExist, match=r"sessions/nowhere\.html"):
        render_to_string("sessions/nowhere.html")


def test_a_page_shows_what_it_did():
    owner = make_user()
    answer = signed_in(owner).get("/account/")
    assert answer.context["user"] == owner  # tests go on seeing what a page was made of
    assert owner.username in answer.content.decode()
