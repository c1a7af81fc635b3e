"""Records of published servers: which were looked at (`servers.toml`), and what they said (`data/`).

The list was there before the first scan; a server that did not answer stays in it, with the reason.
`scripts/scan-servers.py` writes the records, and the catalogue ships them.
"""

from ostiary.registry.records.listed import Entry, entries
from ostiary.registry.records.record import Package, Record, Tool, read_record, records, write_record

__all__ = ["Entry", "Package", "Record", "Tool", "entries", "read_record", "records", "write_record"]
