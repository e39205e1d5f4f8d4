"""Export: all that is kept of a session as a file, in four formats, however long it is.

`json` and `jsonl` are for programs and hold every record; `markdown` and `html` are for people and hold the
conversation with what each call was given and gave back, what was asked of people, the to-do list, metadata and files.
"""

from sessions.exports.files import Copy, note_taken, take
from sessions.exports.formats import Format, pieces_of

__all__ = ["Copy", "Format", "note_taken", "pieces_of", "take"]
