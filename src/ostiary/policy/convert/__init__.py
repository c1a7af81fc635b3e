"""`ostiary policy convert`: any format as format 4, with what changes said.

`written` writes the normal form down again, `notes` says what a reader should know, `convert` puts
both together and checks that the result means the same.
"""

from __future__ import annotations
