"""`python -m benchmarks.peers NAME PLACE …`, with the interpreter of the neighbours; prints JSON in its last line."""

import json
import sys
from pathlib import Path

from benchmarks.peers import adk, langgraph, openai_agents

ANSWERS = {
    "openai-agents-append": openai_agents.append,
    "openai-agents-load": openai_agents.load,
    "google-adk-append": adk.append,
    "langgraph-put": langgraph.put,
    "langgraph-step": langgraph.step,
    "langgraph-put-of-langchain": langgraph.put_of_langchain,
    "langgraph-step-of-langchain": langgraph.step_of_langchain,
    "langgraph-growth": langgraph.growth,
}

if __name__ == "__main__":
    _, name, place, *numbers = sys.argv
    print(json.dumps(ANSWERS[name](Path(place), *map(float, numbers))))
