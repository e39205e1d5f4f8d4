"""Session.destroy: gone for good, with all that is below it."""

import pytest
from django.apps import apps

from sessions.exceptions import NotFound
from sessions.models import Checkpoint, Session
from tests.admin.everything import make_everything
from tests.factories import make_session
from tests.models.bells import listening

pytestmark = pytest.mark.django_db


def count_rows(session: Session) -> dict[str, int]:
    """Count what each table holds of a session."""
    tables = [model for model in apps.get_app_config("koda_sessions").get_models() if hasattr(model, "session_id")]
    return {model.__name__: model._base_manager.filter(session=session.pk).count() for model in tables}


def test_nothing_of_it_is_left_and_nothing_of_others_goes():
    session, other = make_everything(), make_everything()
    held = count_rows(other)
    assert sum(count > 0 for count in held.values()) >= 9
    session.destroy()
    assert set(count_rows(session).values()) == {0}
    assert count_rows(other) == held
    assert not Session.objects.filter(uuid=session.uuid).exists()


def test_a_session_with_an_active_checkpoint_goes_too():
    session = make_everything()
    Session.objects.filter(pk=session.pk).update(active_checkpoint=Checkpoint.objects.get(session=session))
    session.destroy()
    assert not Session.objects.exists()


def test_a_tree_of_sub_agents_goes_with_its_root():
    root = make_session()
    child = make_session(root.owner, parent=root)
    make_session(root.owner, parent=child)
    beside = make_session(root.owner)
    root.destroy()
    assert list(Session.objects.all()) == [beside]


@pytest.mark.django_db(transaction=True)
def test_whoever_watches_it_or_its_sub_agents_is_told_once():
    root = make_session()
    child = make_session(root.owner, parent=root)
    with listening() as heard:
        root.destroy()
    assert sorted(heard) == [(root.pk, 2), (child.pk, 2)]


def test_destroying_twice_is_not_found():
    session = make_session()
    again = Session.objects.get(pk=session.pk)
    session.destroy()
    with pytest.raises(NotFound):
        again.destroy()
