"""Which call of the parent sent a sub-agent: known by the prompt that both carry."""

from collections import defaultdict, deque
from dataclasses import dataclass

TOOL_NAMES = frozenset({"Task", "Agent"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A call that starts a sub-agent."""

    tool_call_id: str
    prompt: str
    agent_name: str | None = None
    title: str | None = None


class Errands:
    """The sub-agent calls that all readers of one import have seen, each given away once.

    Old clients tie a sub-agent's lines to its call by nothing but the text of the prompt; where two calls of a session
    have the same prompt, they are taken in order.
    """

    def __init__(self) -> None:
        """Begin with no calls seen."""
        self._unclaimed: defaultdict[tuple[str, str], deque[Errand]] = defaultdict(deque)
        self._by_call: dict[tuple[str, str], Errand] = {}

    def send(self, errand: Errand, *, session_key: str) -> None:
        """Note a call of the session; the same call told twice is one."""
        if (session_key, errand.tool_call_id) in self._by_call:
            return
        self._by_call[session_key, errand.tool_call_id] = errand
        self._unclaimed[session_key, errand.prompt].append(errand)

    def claim(self, prompt: str, *, session_key: str) -> Errand | None:
        """Return the oldest unclaimed call of the session with this prompt."""
        waiting = self._unclaimed.get((session_key, prompt))
        return waiting.popleft() if waiting else None

    def of_call(self, tool_call_id: str, *, session_key: str) -> Errand | None:
        """Return the call with this id and let nobody else claim it."""
        errand = self._by_call.get((session_key, tool_call_id))
        if errand is not None and errand in (waiting := self._unclaimed[session_key, errand.prompt]):
            waiting.remove(errand)
        return errand
