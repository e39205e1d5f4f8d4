"""The native door over HTTP: whatever is done in whatever order, nothing is lost, doubled, or shown to others."""

import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sessions.models import ApiKey, Session
from tests.api.calling import Agent, Answer, agent_of
from tests.contracts.held import all_items, counters_agree, hold_together, log_of
from tests.contracts.native_model import Kept, Logged, Row, Store
from tests.contracts.native_moves import DRAFTS, EVENTS, NAMED, NEVER, OTHERS, REPEATS, SMALL, TELLING
from tests.factories import make_user
from tests.folded import Folded


class Door(RuleBasedStateMachine):
    """The sessions of one user; another one looks on and must see what is public, and change nothing."""

    sessions = Bundle("sessions")

    @initialize(target=sessions)
    def begin(self):
        self.ada: Agent = agent_of(make_user())
        self.eve: Agent = agent_of(make_user())
        self.store = Store()
        self.answers: dict[str, tuple[str, Any, Answer]] = {}
        self.ids = [str(uuid.uuid4()) for _ in range(3)]
        self.bodies: dict[str, dict[str, Any]] = {}
        return self.create_session(0, "koda", None)

    def teardown(self):
        hold_together()
        for session, kept in self.store.kept.items():
            for step in kept.steps:
                assert self.eve.get(f"checkpoints/{step}").status == (200 if kept.is_public else 404)
            if kept.is_public:  # Users of other examples would see it.
                self.show_or_hide(session, "PRIVATE")

    def post(self, path: str, body: Any, key: str | None) -> Answer | None:
        """Send a POST, perhaps under a key that was used before; None when it did not act (and has been looked at)."""
        headers = {"Idempotency_Key": key} if key else {}
        answer = self.ada.post(path, body, **headers)
        if key in self.answers:
            first_path, first_body, first = self.answers[key]
            if (first_path, first_body) == (path, body):
                assert (answer.status, answer.body) == (first.status, first.body)
                assert answer.headers["Idempotent-Replayed"] == "true"
            else:
                assert answer.status == 409
            return None
        if key and answer.status < 400:
            self.answers[key] = (path, body, answer)
        return answer

    @rule(target=sessions, which=SMALL, name=st.sampled_from(["koda", "scout"]), key=REPEATS)
    def create_session(self, which, name, key):
        body = {"agent_name": name, **({"id": self.ids[which]} if which < len(self.ids) else {})}
        answer = self.post("sessions", body, key)
        wanted = body.get("id")
        if answer is None:
            return NEVER
        if wanted in self.bodies:
            is_there = wanted in self.store.kept and body == self.bodies[wanted]
            assert answer.status == (200 if is_there else 201 if wanted not in self.store.kept else 409)
            if answer.status != 201:
                return wanted
        assert answer.status == 201
        session = answer["id"]
        self.bodies[session] = body
        self.store.kept[session] = Kept("ada")
        return session

    @rule(session=sessions, drafts=DRAFTS, key=REPEATS)
    def append(self, session, drafts, key):
        messages = [
            {"role": role, "content": content, **({"client_id": name} if name else {})}
            for role, content, name in drafts
        ]
        answer = self.post(f"sessions/{session}/messages", {"messages": messages}, key)
        if answer is None:
            return
        if any(role == "wizard" for role, _, _ in drafts):  # looked at before the session is
            assert answer.status == 422
            return
        if self.is_gone(session, answer):
            return
        kept = self.store.kept[session]
        fresh = kept.fresh(drafts)
        assert (answer.status, answer["duplicates"]) == (201, len(drafts) - len(fresh))
        known = {row.client_id: row.id for row in kept.rows if row.client_id}
        newest = max((row.id for one in self.store.kept.values() for row in one.rows), default=0)
        for number, (role, content, name) in zip(answer["ids"], drafts, strict=True):
            if name is not None and name in known:
                assert number == known[name]
                continue
            assert number > newest, "ids are global and grow"
            newest = number
            known |= {name: number} if name else {}
            kept.rows.append(Row(number, role, content, name))

    @rule(session=sessions, events=EVENTS, names=NAMED, key=REPEATS)
    def ingest(self, session, events, names, key):
        sent = [{**event, **({"event_id": name} if name else {})} for event, name in zip(events, names, strict=False)]
        answer = self.post(f"sessions/{session}/events", {"events": sent}, key)
        if answer is None or self.is_gone(session, answer):
            return
        kept = self.store.kept[session]
        fresh, folded = kept.unheard(sent), Folded()
        for row in kept.log:
            folded.take(Logged.of(row))
        if not kept.has_gaps and folded.refuses([Logged.of(event) for event in fresh]):
            assert answer.status == 422
            return
        if kept.has_gaps and answer.status == 422:
            return  # its turn began in what was purged, or never
        assert (answer.status, answer["stored"], answer["duplicates"]) == (201, len(fresh), len(sent) - len(fresh))
        kept.event_ids += [event["event_id"] for event in fresh if "event_id" in event]
        self.take(kept, answer["commands"])

    @rule(session=sessions)
    def send_all_events_again(self, session):
        kept = self.store.kept.get(session)
        if kept is not None:
            again = [{"type": "info", "event_id": name} for name in kept.event_ids]
            answer = self.ada.post(f"sessions/{session}/events", {"events": again})
            assert (answer["stored"], answer["duplicates"]) == (0, len(again))
            self.take(kept, answer["commands"])

    def take(self, kept: Kept, commands: list[dict[str, Any]]) -> None:
        """Hold what was handed over against what people asked for: each once, in order."""
        assert [command["id"] for command in commands] == kept.prompts
        kept.prompts.clear()

    @rule(session=sessions, text=st.sampled_from(["go on", ""]), key=REPEATS)
    def ask(self, session, text, key):
        answer = self.post(f"sessions/{session}/commands", {"type": "user_prompt", "text": text}, key)
        if answer is None or self.is_gone(session, answer):
            return
        assert answer.status == 201
        self.store.kept[session].prompts.append(answer["id"])

    @rule(session=sessions)
    def fetch_commands(self, session):
        answer = self.ada.get(f"sessions/{session}/commands")
        if not self.is_gone(session, answer):
            self.take(self.store.kept[session], answer["commands"])

    @rule(session=sessions, texts=st.lists(st.sampled_from(["hello", "lamp", "oil"]), max_size=4), key=REPEATS)
    def checkpoint(self, session, texts, key):
        state = {"messages": [{"role": "user", "content": text} for text in texts], "metadata": {"n": len(texts)}}
        answer = self.post(f"sessions/{session}/checkpoints", {"state": state}, key)
        if answer is None or self.is_gone(session, answer):
            return
        assert (answer.status, answer["state"]) == (201, state)
        self.store.kept[session].steps[answer["id"]] = json.dumps(state)

    @rule(target=sessions, session=sessions, by=st.sampled_from(["message", "checkpoint", "neither", "foreign"]),
          which=SMALL, key=REPEATS)  # fmt: skip
    def fork(self, session, by, which, key):
        kept = self.store.kept.get(session, Kept("ada"))
        body, rows, steps = self._fork_point(kept, by, which)
        answer = self.post(f"sessions/{session}/fork", body, key)
        if answer is None or self.is_gone(session, answer):
            return NEVER
        if rows is None:
            assert answer.status == 422
            return NEVER
        assert (answer.status, answer["parent_id"]) == (201, session)
        made = Kept("ada", parent=session)
        self.store.kept[answer["id"]] = made
        told = all_items(self.ada, f"sessions/{answer['id']}/messages?limit=50")
        assert [(row["role"], row["content"]) for row in told] == [(row.role, row.content) for row in rows]
        made.rows = [Row(row["id"], row["role"], row["content"], row["client_id"]) for row in told]
        if steps:
            made.steps[answer["active_checkpoint_id"]] = steps
        return answer["id"]

    def _fork_point(self, kept: Kept, by: str, which: int) -> tuple[dict[str, Any], list[Row] | None, str | None]:
        """Return what to send, the messages that the fork must have (None: it is refused) and its state, if any."""
        steps = list(kept.steps.items())
        if by == "checkpoint" or (by == "neither" and steps):
            if not steps:
                return {"checkpoint_id": str(uuid.uuid4())}, None, None
            name, state = steps[which % len(steps)] if by == "checkpoint" else steps[-1]
            said = [Row(0, one["role"], one["content"], None) for one in json.loads(state)["messages"]]
            return ({"checkpoint_id": name} if by == "checkpoint" else {}), said, state
        if by == "neither":
            return {}, kept.rows, None
        foreign = [row.id for other in self.store.kept.values() if other is not kept for row in other.rows]
        if by == "foreign" or not kept.rows:
            return {"message_id": foreign[0] if foreign else 2**60}, None, None
        at = which % len(kept.rows)
        return {"message_id": kept.rows[at].id}, kept.rows[: at + 1], None

    @rule(session=sessions, preserve=SMALL, key=REPEATS)
    def compact(self, session, preserve, key):
        body = {"summary": "so far", "preserve_count": preserve}
        answer = self.post(f"sessions/{session}/compact", body, key)
        if answer is None or self.is_gone(session, answer):
            return
        kept = self.store.kept[session]
        count = max(0, len([row for row in kept.rows if row.id not in kept.archived]) - preserve)
        assert (answer.status, answer["compacted"]) == (200, count)

    @rule()
    def purge_archived(self):
        count = sum(len(kept.archived) for kept in self.store.kept.values())
        assert self.ada.post("compacted/purge", {"min_age_days": 0, "dry_run": True})["purged"] == count
        assert self.ada.post("compacted/purge", {"min_age_days": 0})["purged"] == count
        self.forget_answers([name for name, kept in self.store.kept.items() if kept.archived])
        for kept in self.store.kept.values():
            kept.has_gaps = kept.has_gaps or bool(kept.archived)
            kept.rows = [row for row in kept.rows if row.id not in kept.archived]

    @rule(session=sessions)
    def delete_session(self, session):
        answer = self.ada.delete(f"sessions/{session}")
        if not self.is_gone(session, answer):
            kept = self.store.kept[session]
            assert answer["deleted"] is not kept.is_deleted
            kept.is_deleted = True

    @rule(session=sessions)
    def destroy_session(self, session):
        answer = self.ada.delete(f"sessions/{session}?permanent=true")
        if not self.is_gone(session, answer):
            assert answer["deleted"] is True
            self.forget_answers(self.store.below(session))
            self.store.destroy(session)

    @rule()
    def purge_deleted(self):
        due = self.store.due("ada")
        purged = self.ada.post("purges", {"policy": "deleted", "older_than_days": 0})
        assert purged["session_count"] == len(due)
        for name in due:
            del self.store.kept[name]
        self.forget_answers(due)

    def forget_answers(self, gone: list[str]) -> None:
        """Forget what was answered of sessions whose words went: the store does, and such a key is fresh again."""
        told = {key: f"{path} {answer.body}" for key, (path, _, answer) in self.answers.items()}
        self.answers = {key: self.answers[key] for key in told if not any(name in told[key] for name in gone)}

    @rule(session=sessions, visibility=st.sampled_from(["PUBLIC", "PUBLIC", "PRIVATE"]))
    def show_or_hide(self, session, visibility):
        answer = self.ada.patch(f"sessions/{session}", {"visibility": visibility})
        if not self.is_gone(session, answer):
            assert (answer.status, answer["visibility"]) == (200, visibility)
            self.store.kept[session].is_public = visibility == "PUBLIC"

    @rule(session=sessions, name=st.sampled_from(["a", "b/c"]), value=st.sampled_from(["lamp", "", None]))
    def note(self, session, name, value):
        """Set a value of a session, or take it back; to-do and files go with it."""
        path, kept = f"sessions/{session}/metadata/{name.replace('/', '%2F')}", self.store.kept.get(session)
        answer = self.ada.delete(path) if value is None else self.ada.put(path, {"value": value})
        if kept is None:
            assert answer.status == 404
            return
        assert answer.status == 200
        assert value is not None or answer["deleted"] is (name in kept.metadata)
        assert self.ada.put(f"sessions/{session}/todo", {"content": value}).status == 200
        file = self.ada.delete if value is None else self.ada.put
        assert file(f"sessions/{session}/files", {"path": name}).status == 200
        kept.todo = value
        kept.metadata = {key: text for key, text in {**kept.metadata, name: value}.items() if text is not None}
        kept.files = kept.files - {name} if value is None else kept.files | {name}

    @rule(how=st.sampled_from(["revoke", "expire"]))
    def change_the_key(self, how):
        """End the key that was used so far; what was answered to it is answered to no other."""
        old = self.ada
        if how == "revoke":
            old.key.record.revoke()
        else:
            ApiKey.objects.filter(pk=old.key.record.pk).update(expires_at=timezone.now())
        for method, path, body in (("GET", "sessions", None), ("POST", "sessions", {"agent_name": "koda"})):
            assert old.call(method, path, body).status == 401
        self.ada = agent_of(old.key.record.user)
        self.answers = {}

    @rule(session=sessions, which=st.sampled_from(OTHERS))
    def a_stranger_looks(self, session, which):
        method, path = which
        kept = self.store.kept.get(session)
        wanted = 404
        if kept is not None and kept.is_public:
            is_refused = method != "GET" or path == "/commands"
            wanted = 403 if is_refused else 404 if path == "/checkpoints/active" and not kept.steps else 200
        assert self.eve.call(method, f"sessions/{session}{path}").status == wanted

    @rule(session=sessions, which=st.sampled_from(TELLING))
    def a_stranger_speaks(self, session, which):
        method, path, body = which
        kept = self.store.kept.get(session)
        wanted = 403 if kept is not None and kept.is_public else 404
        assert self.eve.call(method, f"sessions/{session}{path}", body).status == wanted

    @rule(which=SMALL, name=st.sampled_from(["koda", "scout"]))
    def a_stranger_takes_an_id(self, which, name):
        wanted = self.ids[which % len(self.ids)]
        if wanted in self.store.kept:
            answer = self.eve.post("sessions", {"agent_name": name, "id": wanted})
            assert (answer.status, answer["detail"]) == (409, "A session with this id or key exists and differs.")

    def is_gone(self, session: str, answer: Answer) -> bool:
        """Say whether a session was destroyed, or never was; then it is answered so."""
        if session in self.store.kept:
            return False
        assert answer.status == 404
        return True

    @invariant()
    def all_is_well(self):
        self.what_was_acknowledged_is_there_once_and_in_order()
        self.logs_only_grow()
        self.counters_and_lists_agree()
        self.notes_are_as_set()
        self.the_other_user_sees_what_is_public()

    def what_was_acknowledged_is_there_once_and_in_order(self):
        for session, kept in self.store.kept.items():
            told = all_items(self.ada, f"sessions/{session}/messages?limit=50")
            rows = [Row(row["id"], row["role"], row["content"], row["client_id"]) for row in told]
            mine = {row.id for row in kept.rows}
            assert [row for row in rows if row.id in mine] == kept.rows
            kept.rows = rows  # with what the server itself wrote: summaries, and what checkpoints say
            kept.archived = {row["id"] for row in told if row["compacted_at"]}
            for step, state in kept.steps.items():
                assert self.ada.get(f"checkpoints/{step}")["state"] == json.loads(state)

    def logs_only_grow(self):
        for session, kept in self.store.kept.items():
            log = log_of(self.ada, session)
            seqs = [row["seq"] for row in log]
            last = self.ada.get(f"sessions/{session}")["last_seq"]
            if kept.has_gaps:
                assert seqs == sorted(set(seqs))
                assert seqs[-1] == last
            else:
                assert seqs == list(range(1, last + 1))
                assert log[: len(kept.log)] == kept.log
                ids = [row["event_id"] for row in log if row["event_id"]]
                assert len(ids) == len(set(ids))
            kept.log = log

    def counters_and_lists_agree(self):
        counters_agree(self.store.kept)
        listed = self.ada.get("sessions?status=ALL&limit=500")["items"]
        assert {one["id"]: (one["message_count"], one["status"]) for one in listed} == {
            name: (len(kept.rows), "DELETED" if kept.is_deleted else "ACTIVE") for name, kept in self.store.kept.items()
        }
        assert set(map(str, Session.objects.filter(owner=self.ada.key.record.user).values_list("uuid", flat=True))) == (
            set(self.store.kept)
        )

    def notes_are_as_set(self):
        for session, kept in self.store.kept.items():
            told = self.ada.get(f"sessions/{session}/metadata")["items"]
            assert {one["key"]: one["value"] for one in told if one["key"] != "todo"} == kept.metadata
            assert self.ada.get(f"sessions/{session}/todo")["content"] == kept.todo
            assert {one["path"] for one in self.ada.get(f"sessions/{session}/files")["items"]} == kept.files

    def the_other_user_sees_what_is_public(self):
        public = {name: kept for name, kept in self.store.kept.items() if kept.is_public}
        living = {name: kept for name, kept in public.items() if not kept.is_deleted}
        listed = all_items(self.eve, "sessions?status=ALL&limit=3")
        assert {one["id"]: one["message_count"] for one in listed} == {
            name: len(kept.rows) for name, kept in public.items()
        }
        recent = [one["id"] for one in all_items(self.eve, "messages/recent?limit=50")]
        said = [row.id for kept in living.values() for row in kept.rows if row.role == "user" and row.content]
        assert recent == sorted(said, reverse=True)
        assert {one["id"] for one in self.eve.get("sessions/running")["items"]} <= set(living)
        found = {one["session_id"] for one in self.eve.get("search?q=lamp&limit=500")["items"]}
        assert found <= set(public)
        words = {name for name, kept in living.items() if any("lamp" in row.content for row in kept.rows)}
        assert words <= found
        assert self.eve.get("purges")["items"] == []
        assert self.eve.get("compacted/stats")["message_count"] == 0


@pytest.mark.slow
@pytest.mark.django_db
def test_random_operations_lose_nothing_and_show_nothing_to_others(settings_of_rates):
    run_state_machine_as_test(
        Door,
        settings=settings(
            max_examples=6, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
