"""What the agents of the demo are asked and what they answer."""

from sessions.management.demo_scene import Call, Task

EDIT = Call(
    name="Edit",
    args={"path": "src/tides.py", "replacements": [{"old_str": "HOUR = 3600", "new_str": "HOUR = 60 * 60"}]},
    output="Edited src/tides.py: 1 replacement.",
    seconds=1,
)
PREVIEW = {
    "kind": "Edit",
    "path": "src/tides.py",
    "replacements": [
        {
            "index": 1,
            "total": 1,
            "start_line": 12,
            "old_lines": ["HOUR = 3600"],
            "new_lines": ["HOUR = 60 * 60  # seconds"],
        }
    ],
    "truncated_count": 0,
}
LAMP_TASKS = (
    Task(
        prompt="The lamp comes on an hour late since Sunday. Find out why.",
        thoughts="Sunday was the change to summer time. The schedule is probably kept in local time.",
        steps=(
            (
                "I look at how the schedule is kept.",
                Call(
                    name="Read",
                    args={"path": "src/lamp.py"},
                    output="38  def due(now):\n39      # local time\n40      return now.hour >= 19",
                ),
            ),
            (
                "It compares local hours. I write a test for the night of the change.",
                Call(
                    name="Write",
                    args={"path": "tests/test_change.py", "content": "def test_lamp_on_the_night_of_the_change(): ..."},
                    output="Wrote tests/test_change.py (1 line).",
                    seconds=1.5,
                ),
            ),
            (
                "Now the tests.",
                Call(
                    name="Bash",
                    args={"command": "pytest -q"},
                    output="F.........\n1 failed, 9 passed in 1.21s",
                    seconds=6,
                    is_error=True,
                ),
            ),
        ),
        answer="The schedule compares **local** hours, and the change of Sunday moved them. The new test shows it.\n\n"
        "I would keep the schedule in UTC:\n\n```python\nreturn now.astimezone(UTC).hour >= 18\n```",
    ),
    Task(
        prompt="Do that.",
        steps=(
            (
                "I change the comparison.",
                Call(name="Edit", args={"path": "src/lamp.py"}, output="Edited src/lamp.py: 1 replacement.", seconds=1),
            ),
            (
                "And run the tests again.",
                Call(name="Bash", args={"command": "pytest -q"}, output="..........\n10 passed in 1.18s", seconds=6),
            ),
        ),
        answer="Done: the schedule is in UTC now, and all 10 tests pass.",
    ),
)
HARBOUR_TASKS = (
    Task(
        prompt="Why does the crane controller restart every night?",
        steps=(
            (
                "I read its last words.",
                Call(
                    name="Bash",
                    args={"command": "journalctl -u crane --since yesterday"},
                    output="03:00 out of memory",
                    seconds=4,
                ),
            ),
            (
                "And what else runs at three.",
                Call(name="Bash", args={"command": "systemctl list-timers"}, output="03:00 backup.timer", seconds=3),
            ),
        ),
        answer="The backup starts at 03:00 and takes the memory that the controller needs. A cap on the backup helps.",
    ),
    Task(prompt="What limit would you set?", answer="Half a gigabyte: last night it used 410 MB."),
)
CHAT_TASKS = (
    Task(prompt="When is low water tomorrow?", answer="At 05:42 and at 18:10, local time."),
    Task(
        prompt="And is it safe to walk to the island?",
        answer="Between 04:30 and 06:50, with boots. After that the north path floods.",
    ),
    Task(prompt="Remind me at four, please.", answer="I will write to you at 04:00."),
)
