"""ZeroClaw's SessionBackend over HTTP: random operations give what a plain telling of the trait gives."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.api.calling import Agent, agent_of
from tests.api.zeroclaw.calling import ROOT, at, keys_of, messages_of, on_the_wire, say
from tests.contracts.zeroclaw_model import Store
from tests.factories import make_user

SOURCES = st.sampled_from(["laptop", "desk"])
KEYS = st.sampled_from(["gw_lamp", "a/../%2E messages/last"])
ROLES = st.sampled_from(["user", "assistant", "critic"])
TEXTS = st.sampled_from(["", "lamp", "An oil LAMP", "c++ or d", "lamp_oil", " \n", "oil, lamp"])
NAMES = st.one_of(st.just(""), st.text(max_size=5).map(lambda text: text.replace("\0", "")))
STATES = st.sampled_from(["idle", "running", "error"])
TURNS = st.sampled_from([None, "", "t1", "t2"])
HALF_AN_HOUR = timedelta(minutes=30)
"""Between two operations, so that thresholds are often met exactly and two times are never equal."""

_numbers = itertools.count()


class Trait(RuleBasedStateMachine):
    """Two sources of one user, driven through the API and told again by the model."""

    @initialize()
    def begin(self):
        self.clock = time_machine.travel(datetime(2026, 3, 1, 9, tzinfo=UTC), tick=False)
        self.time = self.clock.start()
        owner = make_user()
        self.agents: dict[str, Agent] = {
            source: on_the_wire(agent_of(owner, source=f"{source}-{next(_numbers)}")) for source in ("laptop", "desk")
        }
        self.stores = {source: Store() for source in self.agents}
        for source in self.agents:
            self.append(source, "gw_lamp", "user", "oil")
            self.append(source, "gw_lamp", "assistant", "lamp")
        self.set_session_state("laptop", "gw_lamp", "running", "t1")

    def teardown(self):
        self.clock.stop()

    def act(self, source: str, key: str) -> tuple[Agent, Store, datetime]:
        self.time.shift(HALF_AN_HOUR)
        self.touched = (source, key)
        return self.agents[source], self.stores[source], datetime.now(UTC)

    @rule(source=SOURCES, key=KEYS, role=ROLES, content=TEXTS)
    def append(self, source, key, role, content):
        agent, store, now = self.act(source, key)
        assert say(agent, key, content, role=role) == store.append(key, role, content, now)

    @rule(source=SOURCES, key=KEYS)
    def remove_last(self, source, key):
        agent, store, _ = self.act(source, key)
        assert agent.delete(at(key, "/messages/last"))["removed"] is store.remove_last(key)

    @rule(source=SOURCES, key=KEYS, role=ROLES, content=TEXTS)
    def update_last(self, source, key, role, content):
        agent, store, now = self.act(source, key)
        answer = agent.put(at(key, "/messages/last"), {"role": role, "content": content})
        assert answer["updated"] is store.update_last(key, role, content, now)

    @rule(source=SOURCES, key=KEYS)
    def clear_messages(self, source, key):
        agent, store, now = self.act(source, key)
        assert agent.delete(at(key, "/messages"))["cleared"] == store.clear(key, now)

    @rule(source=SOURCES, key=KEYS)
    def delete_session(self, source, key):
        agent, store, _ = self.act(source, key)
        assert agent.delete(at(key))["deleted"] is store.delete(key)

    @rule(source=SOURCES, key=KEYS)
    def compact(self, source, key):
        agent, _, _ = self.act(source, key)
        assert agent.post(at(key, "/compact"))["ok"] is True

    @rule(source=SOURCES, hours=st.sampled_from([0, 1, 2, 4]))
    def cleanup_stale(self, source, hours):
        agent, store, now = self.act(source, "gw_lamp")
        answer = agent.post(f"{ROOT}/cleanup", {"ttl_hours": hours})
        assert answer["keys"] == store.cleanup_stale(hours, now)
        assert answer["removed"] == len(answer["keys"])

    @rule(source=SOURCES, key=KEYS, name=NAMES)
    def set_session_name(self, source, key, name):
        agent, store, _ = self.act(source, key)
        assert agent.put(at(key, "/name"), {"name": name}).status == 200
        store.set_name(key, name)

    @rule(source=SOURCES, key=KEYS, state=STATES, turn_id=TURNS)
    def set_session_state(self, source, key, state, turn_id):
        agent, store, now = self.act(source, key)
        assert agent.put(at(key, "/state"), {"state": state, "turn_id": turn_id}).status == 200
        store.set_state(key, state, turn_id, now)

    @invariant()
    def the_touched_session_agrees(self):
        source, key = self.touched
        agent, store = self.agents[source], self.stores[source]
        kept = store.kept.get(key)
        assert messages_of(agent, key) == store.load(key)
        told, name, state = (agent.get(at(key, rest)) for rest in ("", "/name", "/state"))
        if kept is None:
            assert {told.status, name.status, state.status} == {404}
            return
        assert told.body == {
            "key": key, "name": kept.name, "created_at": wire(kept.created_at),
            "last_activity": wire(kept.last_activity), "message_count": len(kept.rows),
        }  # fmt: skip
        assert name.body == {"name": kept.name}
        started = kept.turn_started_at and wire(kept.turn_started_at)
        assert state.body == {"state": kept.state, "turn_id": kept.turn_id, "turn_started_at": started}

    @invariant()
    def lists_agree(self):
        now = datetime.now(UTC)
        for source, agent in self.agents.items():
            assert keys_of(agent) == self.stores[source].keys()
        agent, store = self.agents[self.touched[0]], self.stores[self.touched[0]]
        listed = {
            path: [one["key"] for one in agent.get(f"{ROOT}/{path}")["sessions"]]
            for path in ("running", "stuck?threshold_secs=3600")
        }
        assert list(listed.values()) == [store.running(), store.stuck(3600, now)]
        for keyword, limit in (("lamp", 50), ("oil d", 1), ("c++ lamp_oil b", 50)):
            query = f"?keyword={keyword.replace('+', '%2B').replace(' ', '%20')}&limit={limit}"
            assert keys_of(agent, query) == store.search(keyword, limit)


def wire(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


@pytest.mark.slow
@pytest.mark.django_db
def test_random_operations_mean_what_zeroclaw_means_by_them(settings_of_rates):
    run_state_machine_as_test(
        Trait,
        settings=settings(
            max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
