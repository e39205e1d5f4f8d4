"""`migrate` of the next version while a server of this one goes on writing."""

import json

import pytest

from tests.conftest import manage, stop_server
from tests.databases import own_database
from tests.faults.serving import ask, look_through, serving, set_up
from tests.faults.writers import Writer

pytestmark = pytest.mark.slow

_LATER = """
import json
from django.db import connection
from sessions.models import Session
with connection.cursor() as cursor:
    cursor.execute("SELECT mood, count(*) FROM koda_sessions_message GROUP BY mood")
    print(json.dumps(dict(cursor.fetchall())))
Session.objects.first().destroy()
"""


def test_an_old_server_writes_on_while_the_next_version_migrates(tmp_path, django_db_setup):
    with own_database() as database:
        environment, key = set_up(tmp_path, **database)
        next_version = {**environment, "DJANGO_SETTINGS_MODULE": "tests.faults.next_version.settings"}
        with serving(tmp_path, environment) as [server]:
            with Writer([server], key) as one, Writer([server], key) as other:
                other.write_more(30)
                manage(next_version, "migrate", "--verbosity", "0")
                for writer in (one, other):
                    writer.write_more(30)
                for writer in (one, other):
                    writer.end()
                    assert writer.told.refused == [], "who writes waits, and is not turned away"
                    assert writer.told.broken_off == 0
            # On SQLite the table with the index's trigger was remade; what is removed is forgotten all the same.
            moods = json.loads(ask(next_version, _LATER))
            stop_server(server)
        assert set(moods) == {"", "calm"}, "some came before it and some after"
        assert sum(moods.values()) == len(one.told.acknowledged) + len(other.told.acknowledged)
        assert look_through(next_version).messages == {other.session: other.told.acknowledged}
