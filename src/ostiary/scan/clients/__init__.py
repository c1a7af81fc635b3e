"""The configurations of MCP clients: what servers they name, read without starting or asking any."""

from ostiary.scan.clients.config import Config, Configured, configured, read_config
from ostiary.scan.clients.entry import Entry
from ostiary.scan.clients.places import CLIENTS

__all__ = ["CLIENTS", "Config", "Configured", "Entry", "configured", "read_config"]
