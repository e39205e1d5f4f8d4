"""What the machine of the native door may say and try."""

import uuid

from hypothesis import strategies as st

ROLES = st.sampled_from(["user", "assistant", "tool", "system", "user", "assistant", "tool", "wizard"])
DRAFTS = st.lists(
    st.tuples(ROLES, st.sampled_from(["hello", "", "lamp oil"]), st.sampled_from([None, None, "m1", "m2", "m3"])),
    max_size=4,
)
TURNS = st.sampled_from(["t1", "t2"])
EVENTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("turn_start"), "turn_id": TURNS}),
        st.fixed_dictionaries(
            {"type": st.just("turn_end"), "turn_id": TURNS, "reason": st.sampled_from([{"kind": "complete"}])}
        ),
        st.fixed_dictionaries(
            {"type": st.just("tool_call_start"), "id": st.sampled_from(["c1", "c2"]), "name": st.just("Bash")}
        ),
        st.fixed_dictionaries(
            {"type": st.just("tool_call_result"), "id": st.sampled_from(["c1", "c2"]), "output": st.just("fine")}
        ),
        st.fixed_dictionaries({"type": st.just("approval_request"), "id": st.just("a"), "tool_name": st.just("Bash")}),
        st.fixed_dictionaries({"type": st.just("text_delta"), "text": st.sampled_from(["a", "b "])}),
        st.fixed_dictionaries({"type": st.just("text_delta"), "text": st.sampled_from(["a", "b "])}),
        st.fixed_dictionaries({"type": st.just("of_a_newer_agent"), "n": st.integers(0, 3)}),
    ),
    max_size=5,
)
NAMED = st.lists(st.sampled_from([None, "e1", "e2", "e3", "e4", "e5"]), min_size=5, max_size=5)
REPEATS = st.sampled_from([None, None, "k1", "k2"])
SMALL = st.integers(0, 5)
NEVER = str(uuid.UUID(int=0))
OTHERS = [
    ("GET", ""), ("GET", "/messages"), ("GET", "/messages/last"), ("GET", "/events"), ("GET", "/turns"),
    ("GET", "/state"), ("GET", "/checkpoints"), ("GET", "/checkpoints/active"), ("GET", "/export?format=jsonl"),
    ("GET", "/usage"), ("GET", "/stats"), ("GET", "/commands"), ("GET", "/findings"), ("DELETE", ""),
    ("DELETE", "?permanent=true"), ("POST", "/release"), ("GET", "/metadata"), ("GET", "/todo"), ("GET", "/files"),
]  # fmt: skip
"""What a stranger may try at a session without a body."""
TELLING = [
    ("POST", "/messages", {"role": "user", "content": "mine"}), ("POST", "/events", {"events": [{"type": "info"}]}),
    ("POST", "/fork", {}), ("POST", "/compact", {"summary": "s", "preserve_count": 0}), ("POST", "/heartbeat", {}),
    ("POST", "/checkpoints", {"state": {}}), ("PUT", "/state", {"state": "error"}), ("PATCH", "", {"title": "mine"}),
    ("POST", "/commands", {"type": "interrupt"}), ("PUT", "/todo", {"content": "mine"}),
]  # fmt: skip
