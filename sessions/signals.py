"""The one bell: every fact leaves the store through it, after commit.

`event_recorded` is sent once for each session that a transaction wrote to, with

    session_id: int   the session's primary key
    seq: int          the newest event of that session

It is a hint, not a payload: whoever hears it reads the log, which is the truth.

`event_heard` is its echo, with the same arguments: another process has rung, and passed the hint on.
"""

from django.dispatch import Signal

event_recorded = Signal()
event_heard = Signal()
