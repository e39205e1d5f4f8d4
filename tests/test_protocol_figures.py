"""The turn protocol: what footers, usage and updates of a status tell of a turn and its session."""

import pytest

from tests.engine_events import (
    START,
    after,
    turns_of,
)
from tests.factories import make_session

pytestmark = pytest.mark.django_db


def test_a_footer_gives_the_turn_its_figures():
    footer = {
        "type": "footer", "prompt_tokens": 10, "completion_tokens": 20, "cache_read_tokens": 0, "thinking_tokens": 3,
        "elapsed_ms": 4500, "rate": 1.5, "context": "context: 4k",
    }  # fmt: skip
    turn = after(START, footer).turns.get()
    assert {name: getattr(turn, name) for name in footer if hasattr(turn, name)} == {
        "prompt_tokens": 10, "completion_tokens": 20, "cache_read_tokens": 0, "thinking_tokens": 3, "elapsed_ms": 4500,
    }  # fmt: skip
    assert turn.has_final_text
    assert turn.is_open


def test_a_footer_counts_no_tokens_for_the_session():
    assert after(START, {"type": "footer", "prompt_tokens": 10}).total_tokens == 0


@pytest.mark.parametrize("odd", [-1, 2**63, 1.5, True, "12", None])
def test_a_figure_that_is_none_is_left_out(odd):
    assert after(START, {"type": "footer", "prompt_tokens": odd}).turns.get().prompt_tokens is None


def test_a_footer_without_a_turn_is_only_kept():
    assert turns_of(after({"type": "footer", "prompt_tokens": 1})) == []


@pytest.mark.parametrize(
    ("usage", "percent"),
    [
        ({"used": 50, "max": 200}, 25),
        ({"used": -1, "max": 5}, None),
        ({"used": 1}, None),
        ({"used": 9, "max": 0}, None),
    ],
)
def test_context_usage_fills_the_models_window(usage, percent):
    assert after(START, {"type": "context_usage", **usage}).context_percent == percent


def test_a_status_update_switches_model_provider_and_mode():
    session = after({"type": "status_update", "model": "m", "provider": "p", "approval_mode": "confirm"})
    assert (session.model, session.provider, session.mode) == ("m", "p", "safe")
    session = after({"type": "status_update", "model": None, "provider": 3, "approval_mode": "odd"}, session=session)
    assert (session.model, session.provider, session.mode) == ("m", "p", "safe")


def test_a_mode_that_a_child_has_stays_when_its_parents_is_lowered_and_the_next_one_does_not():
    parent = make_session(mode="auto")
    child = make_session(parent=parent, mode="auto")
    parent.edit(by="test", mode="plan")
    child.refresh_from_db()
    assert child.mode == "auto"
    after({"type": "status_update", "approval_mode": "safe"}, session=child)
    assert child.mode == "plan"


def test_a_child_does_not_claim_more_trust_than_its_parent():
    child = make_session(parent=make_session(mode="plan"))
    assert after({"type": "status_update", "approval_mode": "auto"}, session=child).mode == "plan"
