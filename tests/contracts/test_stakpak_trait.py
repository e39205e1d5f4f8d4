"""Stakpak's SessionStorage over HTTP: random operations of two users give what a plain telling of it gives."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.api.calling import Agent, agent_of
from tests.api.stakpak import rust
from tests.api.stakpak.calling import Storage, call, result, says, storage_of, usage, user
from tests.contracts.held import all_items, counters_agree, hold_together, log_of
from tests.contracts.stakpak_model import Kept, Step, listed
from tests.factories import make_user

CALLERS = st.sampled_from(["ada", "ada", "eve"])
TITLES = st.sampled_from(["Fix it", "fix THE build", "100% of a_b\\c", "Café"])
VISIBILITIES = st.sampled_from(["PRIVATE", "PUBLIC"])
SEARCHES = st.sampled_from(["", "fix", "THE B", "%", "_", "\\", "é", "É", "nothing"])
MESSAGES = st.sampled_from([
    user("Make it fast."), user(""), says("done"), says("done\n\n", **usage(100, 10)), says(None, call("a")),
    says("two", call("a"), call("b"), **usage(7, 3, cached_tokens=2)), result("a"), result("b", "boom"),
    {"role": "user", "content": [{"type": "text", "text": "parts"}]}, {"role": "system", "content": "be brief"},
    {"role": "assistant", "content": "odd", "unknown": {"z": 1, "a": None}},
])  # fmt: skip
BESIDE = st.sampled_from(["", ',"metadata":{"b":1.50,"a":[-0,1E5]}', ',"metadata":null', ',"more":"é 漢"'])
WAYS = st.sampled_from(["grow", "grow", "grow", "settle", "again", "cut", "branch", "edit", "other"])
PARENTS = st.sampled_from(["newest", "newest", "none", "first", "foreign", "unknown"])
SMALL = st.integers(0, 6)
A_MINUTE = timedelta(minutes=1)


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Trait(RuleBasedStateMachine):
    """The sessions of two users, driven through the door and told again by the model."""

    sessions = Bundle("sessions")

    @initialize(target=sessions)
    def begin(self):
        self.clock = time_machine.travel(datetime(2026, 3, 1, 9, tzinfo=UTC), tick=False)
        self.time = self.clock.start()
        users = {name: make_user() for name in ("ada", "eve")}
        self.storages: dict[str, Storage] = {name: storage_of(one) for name, one in users.items()}
        self.agents: dict[str, Agent] = {name: agent_of(one) for name, one in users.items()}
        self.kept: dict[str, Kept] = {}
        return self.create_session("ada", "Fix it", "PRIVATE", "/srv/app", [user("Make it fast.")], "")

    def teardown(self):
        try:
            for session in self.kept:
                self.checkpoints_read_back(session)
            hold_together()
        finally:
            self.clock.stop()

    def act(self, session: str | None = None) -> datetime:
        """Let a minute pass: no two writes are of the same moment. Note which session the invariants look at."""
        self.time.shift(A_MINUTE)
        self.touched = session
        return datetime.now(UTC)

    def refused(self, caller: str, session: str, run) -> bool:
        """Say whether a caller may not change a session, after it was tried and refused in the right words."""
        kept = self.kept[session]
        if caller == kept.owner:
            return False
        with pytest.raises(rust.StorageError) as caught:
            run()
        wanted = ("Unauthorized", 403) if kept.may_be_read_by(caller) else ("NotFound", 404)
        assert (caught.value.kind, self.storages[caller].status) == wanted
        return True

    @rule(
        target=sessions, caller=CALLERS, title=st.just("") | TITLES, visibility=VISIBILITIES,
        cwd=st.sampled_from([None, "/srv/app"]), messages=st.lists(MESSAGES, max_size=3), beside=BESIDE,
    )  # fmt: skip
    def create_session(self, caller, title, visibility, cwd, messages, beside):
        now = self.act()
        texts = tuple(map(dumped, messages))
        state = f'{{"messages":[{",".join(texts)}]{beside}}}'
        body = f'{{"title":{dumped(title)},"visibility":"{visibility}","cwd":{dumped(cwd)},"state":{state}}}'
        made = self.storages[caller].send("POST", "/sessions", raw=body.encode(), read=rust.CREATED)
        step = Step(made["checkpoint"]["id"], None, state, texts)
        self.kept[made["session_id"]] = Kept(caller, title, visibility, cwd, now, now, [step])
        self.touched = made["session_id"]
        return made["session_id"]

    @rule(session=sessions, caller=CALLERS, way=WAYS, fresh=st.lists(MESSAGES, max_size=3), at=SMALL, which=SMALL,
          beside=BESIDE, parent=PARENTS)  # fmt: skip
    def create_checkpoint(self, session, caller, way, fresh, at, which, beside, parent):
        now, kept = self.act(session), self.kept[session]
        texts = tuple(self._history(kept, way, fresh, at, which))
        state = f'{{"messages":[{",".join(texts)}]{beside}}}'
        parent_id, is_good = self._parent(kept, parent)
        named = f',"parent_id":"{parent_id}"' if parent_id else ""
        body = f'{{"state":{state}{named}}}'.encode()
        storage, path = self.storages[caller], f"/sessions/{session}/checkpoints"

        def send():
            return storage.send("POST", path, raw=body, read=rust.ONE_CHECKPOINT)

        if self.refused(caller, session, send):
            return
        if not is_good:
            with pytest.raises(rust.StorageError) as caught:
                send()
            assert (caught.value.kind, storage.status) == ("InvalidRequest", 400)
            return
        made = send()["checkpoint"]
        assert f'"state":{state}' in storage.raw.decode()
        kept.add(Step(made["id"], parent_id, state, texts), now)

    def _history(self, kept: Kept, way: str, fresh: list[Any], at: int, which: int) -> list[str]:
        """Return the messages that a client would send next: most grow, some go back or say it otherwise."""
        newest = list(kept.steps[-1].messages)
        more = list(map(dumped, fresh))
        match way:
            case "again":
                return newest
            case "cut":
                return newest[: len(newest) - at]
            case "branch":
                older = kept.steps[which % len(kept.steps)].messages
                return [*older[:at], *more]
            case "edit" if newest:
                newest[at % len(newest)] = dumped(user("said otherwise"))
            case "settle" if newest:
                newest[-1] = dumped(_settled(json.loads(newest[-1])))
            case "other":
                return more
        return [*newest, *more]

    def _parent(self, kept: Kept, which: str) -> tuple[str | None, bool]:
        """Return the parent to name, and whether it is one of the session's."""
        foreign = [step.id for other in self.kept.values() if other is not kept for step in other.steps]
        match which:
            case "none":
                return None, True
            case "newest":
                return kept.steps[-1].id, True
            case "foreign" if foreign:
                return foreign[0], False
            case "unknown":
                return str(uuid.uuid4()), False
        return kept.steps[0].id, True

    @rule(session=sessions, caller=CALLERS, title=st.none() | TITLES, visibility=st.none() | VISIBILITIES)
    def update_session(self, session, caller, title, visibility):
        now = self.act(session)
        said = {"title": title, "visibility": visibility}
        changes = {name: word for name, word in said.items() if word is not None}

        def send():
            return self.storages[caller].update_session(session, **changes)

        if self.refused(caller, session, send):
            return
        self.kept[session].update(title, visibility, now)
        assert self._is_as_told(session, send())

    @rule(session=sessions, caller=CALLERS)
    def delete_session(self, session, caller):
        now = self.act(session)
        if not self.refused(caller, session, lambda: self.storages[caller].delete_session(session)):
            self.storages[caller].delete_session(session)
            self.kept[session].delete(now)

    @rule(caller=CALLERS, status=st.sampled_from(["ACTIVE", "DELETED", "ALL"]), visibility=st.none() | VISIBILITIES,
          search=SEARCHES, limit=SMALL, offset=SMALL)  # fmt: skip
    def list_sessions(self, caller, status, visibility, search, limit, offset):
        self.act()
        query = {"status": status, "search": search, "limit": limit, "offset": offset}
        query |= {"visibility": visibility} if visibility else {}
        found = [one["id"] for one in self.storages[caller].list_sessions(**query)]
        wanted = listed(self.kept, caller, status=status, visibility=visibility, search=search)
        assert found == wanted[offset : offset + limit]

    @invariant()
    def each_sees_their_own_in_order(self):
        for caller, storage in self.storages.items():
            found = storage.list_sessions(status="ALL")
            assert [one["id"] for one in found] == listed(self.kept, caller, status="ALL")
            for one in found:
                kept = self.kept[one["id"]]
                told = (one["title"], one["message_count"], one["active_checkpoint_id"], one["updated_at"])
                newest = kept.steps[-1]
                assert told == (kept.title, len(newest.messages), newest.id, kept.updated_at)

    @invariant()
    def the_touched_session_is_as_told(self):
        if self.touched is None:
            return
        session, kept = self.touched, self.kept[self.touched]
        for caller, storage in self.storages.items():
            if kept.may_be_read_by(caller):
                assert self._is_as_told(session, storage.get_session(session))
                continue
            for read in (storage.get_session, storage.list_checkpoints):
                with pytest.raises(rust.StorageError, match="NotFound"):
                    read(session)
        self.checkpoints_read_back(session)
        self._other_doors_agree(session, kept)
        counters_agree([session])

    def checkpoints_read_back(self, session: str) -> None:
        """Hold each checkpoint that was ever acknowledged against what was sent, letter by letter."""
        kept = self.kept[session]
        storage, stranger = self.storages[kept.owner], self.storages["eve" if kept.owner == "ada" else "ada"]
        rows = storage.list_checkpoints(session)
        assert [(row["id"], row["parent_id"], row["message_count"]) for row in rows] == [
            (step.id, step.parent, len(step.messages)) for step in kept.steps
        ]
        times = [row["created_at"] for row in rows]
        assert times == sorted(set(times)), "clients order by it"
        for step in kept.steps:
            storage.get_checkpoint(step.id)
            assert f'"state":{step.state}' in storage.raw.decode()
        if not kept.may_be_read_by("eve" if kept.owner == "ada" else "ada"):
            with pytest.raises(rust.StorageError, match="NotFound"):
                stranger.get_checkpoint(kept.steps[-1].id)

    def _is_as_told(self, session: str, found: dict[str, Any]) -> bool:
        kept = self.kept[session]
        names = ("title", "visibility", "status", "cwd", "created_at", "updated_at", "deleted_at")
        assert found["id"] == session
        assert {name: found[name] for name in names} == {name: getattr(kept, name) for name in names}
        assert found["active_checkpoint"]["id"] == kept.steps[-1].id
        return True

    def _other_doors_agree(self, session: str, kept: Kept) -> None:
        """Hold the transcript and the log, which others read, against what this door took."""
        agent = self.agents[kept.owner]
        rows = all_items(agent, f"sessions/{session}/messages?view=all&limit=50")
        assert sum(row["compacted_at"] is None for row in rows) == len(kept.steps[-1].messages)
        seqs = [event["seq"] for event in log_of(agent, session)]
        assert seqs == list(range(1, len(seqs) + 1))


def _settled(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as the client sends it once it is no longer the last: without usage and line ends."""
    left = {name: part for name, part in message.items() if name != "usage"}
    return {**left, "content": left["content"].rstrip()} if isinstance(left.get("content"), str) else left


@pytest.mark.slow
@pytest.mark.django_db
def test_random_operations_mean_what_stakpak_means_by_them(settings_of_rates):
    run_state_machine_as_test(
        Trait,
        settings=settings(
            max_examples=6, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
