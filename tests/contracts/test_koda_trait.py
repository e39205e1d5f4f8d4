"""Koda's Persistence over HTTP: random operations give what a plain telling of the trait gives."""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.api.calling import Agent, agent_of
from tests.contracts.koda_model import TOKENS, Kept, Row

AGENTS = st.sampled_from([None, "explore", "review"])
CALL_IDS = st.sampled_from(["a", "b", "c"])
PROJECTS = st.sampled_from([None, "/w/one", "/w/two"])
TEXTS = st.one_of(st.none(), st.just(""), st.just("  "), st.text(max_size=8).map(lambda text: text.replace("\0", "")))
COUNTS = st.integers(0, 1000)
USAGES = st.one_of(st.none(), st.fixed_dictionaries(dict.fromkeys(TOKENS, COUNTS)))
CALLS = st.one_of(st.none(), st.lists(CALL_IDS, unique=True, max_size=2))

# Tries of one operation are counted apart from those of other tests.
_numbers = itertools.count()


class Trait(RuleBasedStateMachine):
    """Some sessions of one user, driven through the API and told again by the model."""

    sessions = Bundle("sessions")

    @initialize()
    def begin(self):
        self.agent: Agent = agent_of(source=f"laptop-{next(_numbers)}")
        self.kept: dict[str, Kept] = {}
        self.born: list[str] = []

    @rule(target=sessions, name=st.sampled_from(["koda", "explore"]), project=PROJECTS)
    def create_session(self, name, project):
        body = {"agent_name": name, "project_root": project}
        session = self.agent.post("sessions", {key: value for key, value in body.items() if value})["id"]
        self.kept[session] = Kept(name, project)
        self.born.append(session)
        return session

    @rule(session=sessions, role=st.sampled_from(["system", "user", "assistant", "tool"]), content=TEXTS,
          calls=CALLS, answers=st.one_of(st.none(), CALL_IDS), usage=USAGES, agent=AGENTS)  # fmt: skip
    def insert_message(self, session, role, content, calls, answers, usage, agent):
        body = {"role": role, "content": content, "usage": usage if role == "assistant" else None, "agent_name": agent}
        if role == "assistant" and calls is not None:
            body["tool_calls"] = [{"id": one, "function_name": "Bash", "arguments": "{}"} for one in calls]
        if role == "tool":
            body["tool_call_id"] = answers
        given = {name: value for name, value in body.items() if value is not None}
        [number] = self.agent.post(f"sessions/{session}/messages", given)["ids"]
        newest = max((row.number for kept in self.kept.values() for row in kept.rows), default=0)
        assert number > newest, "ids are global and grow"
        row = Row(number, role, content, body.get("tool_calls"), body.get("tool_call_id"), body["usage"], agent)
        self.kept[session].append(row)

    @rule(session=sessions, preserve=st.integers(0, 6))
    def compact_session(self, session, preserve):
        kept = self.kept[session]
        answer = self.agent.post(f"sessions/{session}/compact", {"summary": "so far", "preserve_count": preserve})
        count = kept.compact(preserve)
        assert answer["compacted"] == count
        if not count:
            return
        rows = self.agent.get(f"sessions/{session}/messages?view=all&limit=500")["items"][-2:]
        assert [row["role"] for row in rows] == ["system", "assistant"]
        for row in rows:
            kept.append(Row(row["id"], row["role"], row["content"], None, None, None, None))

    @rule()
    def purge_compacted(self):
        assert self.agent.post("compacted/purge", {"min_age_days": 1})["purged"] == 0
        count = sum(len(kept.rows) - len(kept.active()) for kept in self.kept.values())
        assert self.agent.post("compacted/purge", {"min_age_days": 0, "dry_run": True})["purged"] == count
        assert self.agent.post("compacted/purge", {"min_age_days": 0})["purged"] == count
        assert sum(kept.purge() for kept in self.kept.values()) == count

    @rule(session=sessions, key=st.sampled_from(["progress", "todo", "a/b"]), value=st.text(max_size=5))
    def set_metadata(self, session, key, value):
        value = value.replace("\0", "")
        path = in_path(key)
        assert self.agent.put(f"sessions/{session}/metadata/{path}", {"value": value}).status == 200
        self.kept[session].metadata[key] = value

    @rule(session=consumes(sessions))
    def delete_session(self, session):
        path = f"sessions/{session}?permanent=true"
        assert self.agent.delete(path)["deleted"] is True
        assert self.agent.delete(path).status == 404
        del self.kept[session]
        self.born.remove(session)

    @invariant()
    def reads_agree(self):
        for session, kept in self.kept.items():
            self._conversation_agrees(session, kept)
            self._usage_agrees(session, kept)
            listed = self.agent.get(f"sessions/{session}/metadata")["items"]
            assert {item["key"]: item["value"] for item in listed} == kept.metadata

    @invariant()
    def lists_agree(self):
        for project in (None, "/w/one"):
            path = "sessions?order=-created_at&limit=500" + (f"&project_root={project}" if project else "")
            wanted = [
                one for one in reversed(self.born) if project is None or self.kept[one].project in {None, project}
            ]
            items = self.agent.get(path)["items"]
            assert [item["id"] for item in items] == wanted
            counts = [(item["message_count"], item["total_tokens"]) for item in items]
            assert counts == [(len(self.kept[one].rows), self.kept[one].total()) for one in wanted]
        prompts = [row for kept in self.kept.values() for row in kept.rows if row.role == "user" and row.content]
        newest = [row.number for row in sorted(prompts, key=lambda row: -row.number)]
        recent = self.agent.get("messages/recent?role=user&limit=500")["items"]
        assert [item["id"] for item in recent] == newest

    def _conversation_agrees(self, session, kept):
        everything = self.agent.get(f"sessions/{session}/messages?view=all&limit=500")["items"]
        assert [row["id"] for row in everything] == [row.number for row in kept.rows]
        assert [row["content"] for row in everything] == [row.content for row in kept.rows]
        context = self.agent.get(f"sessions/{session}/messages?view=context&limit=500")["items"]
        assert [row["id"] for row in context] == kept.context()
        for role in ("assistant", "user"):
            assert self.agent.get(f"sessions/{session}/messages/last?role={role}")["content"] == kept.last(role)
        assert self.agent.get(f"sessions/{session}/pending-tool-calls")["pending"] is kept.is_pending()

    def _usage_agrees(self, session, kept):
        usage = self.agent.get(f"sessions/{session}/usage")
        agents = {item["agent_name"]: item for item in usage.body["by_agent"]}
        for agent, sums in kept.ledger.items():
            found = agents.pop(agent)
            assert {name: found[name] for name in sums} == sums
        assert not agents
        for name in (*TOKENS, "api_calls"):
            assert usage["total"][name] == sum(sums[name] for sums in kept.ledger.values())


def in_path(key: str) -> str:
    """Return a key as it stands in a path."""
    return key.replace("/", "%2F")


@pytest.mark.slow
@pytest.mark.django_db
def test_random_operations_mean_what_koda_means_by_them(settings_of_rates):
    run_state_machine_as_test(
        Trait,
        settings=settings(
            max_examples=10,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
