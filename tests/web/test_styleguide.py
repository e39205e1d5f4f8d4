"""The style page: every fragment in its states, for staff alone, and nothing saved for it."""

import re

import pytest
from django.utils import timezone

from sessions.models import Session
from sessions.web.specimens import WITHOUT_SPECIMEN, specimens
from tests.conftest import ROOT
from tests.factories import make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse

FRAGMENTS = {path.name for path in (ROOT / "templates" / "sessions").glob("_*.html")}


@pytest.fixture
def staff(db):
    return make_user("ada", is_staff=True)


def test_every_fragment_is_shown_or_has_a_reason_why_not(staff):
    shown = {specimen.fragment for specimen in specimens(staff, now=timezone.now())}
    assert shown | set(WITHOUT_SPECIMEN) == FRAGMENTS
    assert not shown & set(WITHOUT_SPECIMEN)


def test_each_stands_there_in_both_themes(staff, django_assert_max_num_queries):
    reader = signed_in(staff)
    with django_assert_max_num_queries(3):  # who reads: 2; what the menu counts
        page = parse(reader.get("/styleguide/").content)
    pairs = page.all("div", "pair")
    assert len(pairs) == len(list(specimens(staff, now=timezone.now())))
    for pair in pairs:
        light, dark = pair.elements
        assert (light.attrs["data-theme"], dark.attrs["data-theme"]) == ("light", "dark")
        assert light.text == dark.text
        assert light.all()
    assert Session.objects.count() == 0


def test_a_fragment_has_text_or_a_picture_in_every_state(staff):
    for pair in parse(signed_in(staff).get("/styleguide/").content).all("div", "pair"):
        assert pair.text or pair.all("svg")


def test_every_class_of_a_fragment_that_is_shown_can_be_seen(staff):
    written = {
        (path.name, name)
        for path in (ROOT / "templates" / "sessions").glob("_*.html")
        if path.name not in WITHOUT_SPECIMEN
        for value in re.findall(r'\bclass="([^"]*)"', re.sub(r"{%.*?%}|{{.*?}}", " ", path.read_text()))
        for name in value.split()
    }
    guide = parse(signed_in(staff).get("/styleguide/").content)
    shown = {name for pair in guide.all("div", "pair") for element in pair.all() for name in element.classes}
    assert {(fragment, name) for fragment, name in written if name not in shown} == set()


def test_ids_are_there_once_and_nothing_acts(staff):
    html = signed_in(staff).get("/styleguide/").text
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    guide = html[html.index('class="guide"') : html.index("</main>")]
    assert "hx-" not in guide
    assert 'method="post"' not in guide


def test_it_is_for_staff(owner, db):
    assert signed_in(owner).get("/styleguide/").status_code == 403
    assert signed_in(None).get("/styleguide/").status_code == 302


def test_it_shows_the_very_files_of_the_pages(staff, tmp_path, settings):
    changed = tmp_path / "sessions"
    changed.mkdir()
    (changed / "_stop.html").write_text("<b>changed</b>")
    first, *rest = settings.TEMPLATES
    settings.TEMPLATES = [{**first, "DIRS": [tmp_path, *first["DIRS"]]}, *rest]
    assert "<b>changed</b>" in signed_in(staff).get("/styleguide/").text
