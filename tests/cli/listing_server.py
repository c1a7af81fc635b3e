"""An MCP server on standard streams whose tools are those in a file: `listing_server.py [FILE]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

offered = Path(sys.argv[1] if len(sys.argv) > 1 else "offered.json")

for line in sys.stdin:
    asked = json.loads(line)
    method = asked.get("method")
    if "id" not in asked:
        continue
    if method == "initialize":
        about = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "listing"},
        }
        answer = {"result": {**about, "serverInfo": {"name": "listing", "version": "1"}}}
    elif method == "tools/list":
        answer = {"result": {"tools": json.loads(offered.read_text())}}
    elif method == "tools/call":
        answer = {"result": {"content": [{"type": "text", "text": "done"}]}}
    else:
        answer = {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
