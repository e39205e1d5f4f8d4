"""Who sees what: the matrix of API.md section 1, as a filter of rows and as a question about one."""

import pytest
from django.contrib.auth.models import AnonymousUser

from sessions.models import Session
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db

CALLERS = {
    "owner": lambda owner: owner,
    "staff": lambda _owner: make_user(is_staff=True),
    "superuser without staff": lambda _owner: make_user(is_superuser=True),
    "another": lambda _owner: make_user(),
    "nobody": lambda _owner: AnonymousUser(),
}
#        caller, visibility: listed, readable by link, changeable
MATRIX = [
    ("owner", "PRIVATE", True, True, True),
    ("owner", "PUBLIC", True, True, True),
    ("staff", "PRIVATE", True, True, True),
    ("staff", "PUBLIC", True, True, True),
    ("superuser without staff", "PRIVATE", False, False, False),
    ("superuser without staff", "PUBLIC", True, True, False),
    ("another", "PRIVATE", False, False, False),
    ("another", "PUBLIC", True, True, False),
    ("nobody", "PRIVATE", False, False, False),
    ("nobody", "PUBLIC", False, True, False),
]


@pytest.mark.parametrize(("caller", "visibility", "is_listed", "is_readable", "is_changeable"), MATRIX)
def test_each_caller_sees_just_what_the_rule_says(caller, visibility, is_listed, is_readable, is_changeable):
    session = make_session(visibility=visibility)
    user = CALLERS[caller](session.owner)
    assert Session.objects.visible_to(user).filter(pk=session.pk).exists() is is_listed
    assert session.may_be_read_by(user) is is_readable
    assert session.may_be_changed_by(user) is is_changeable


def test_the_matrix_names_every_caller_and_visibility():
    assert {(caller, visibility) for caller, visibility, *_ in MATRIX} == {
        (caller, visibility) for caller in CALLERS for visibility in ("PRIVATE", "PUBLIC")
    }


def test_a_session_is_seen_once_however_many_reasons_there_are():
    session = make_session(visibility="PUBLIC")
    assert list(Session.objects.visible_to(session.owner)) == [session]


def test_deletion_is_no_matter_of_visibility():
    session = make_session()
    session.remove(by="test")
    assert list(Session.objects.visible_to(session.owner)) == [session]
    assert not Session.objects.visible_to(session.owner).active().exists()
