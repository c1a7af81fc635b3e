"""Questions that a Django shell answers beside running code: `RunRequest.ask`, and what comes back.

A question is a JSON object whose `do` says which one it is. It is answered in the child, so it counts
as a run: it has its limits, its place in the queue and its record. The answer is JSON text in
`RunRecord.result.json` (`text` is empty then); a question that cannot be answered is a `Fault` of
category `exception`, whose type and message are Python's own (a setting that is not there is an
AttributeError, an unknown app label a LookupError). What looks secret is masked in all of them.

  project    {}: {"python": {base_prefix, executable, path, platform, prefix, version_info},
             "django": {apps, auth_user_model, base_dir, databases: {alias: {engine, name}}, debug,
             settings_module, version}}; `base_dir` and `auth_user_model` may be null
  setting    {key}: {"key", "value", "value_type"}
  apps       {}: [{"name", "label", "path", "models": [class names]}]
  app        {label}: one of them
  models     {include: [labels] or null, scope: "project" or "all"}:
             [{"model_class", "import_path", "source_path", "fields": {name: class}}]
  model      {label, name}: one of them; the name in any case
  routes     {method, name, pattern: text or null}: [{"pattern", "name", "namespace", "parameters",
             "view": {"name", "type", "source_path", "methods", "class_bases"?}}]; as they are searched in
             the three are "contains"
  commands   {}: [{"name", "app_name"}], sorted by name
  command    {command, args: [text], options: {name: value}}: {"status": "success" or "error", "command",
             "args", "options", "exception": null or {"type", "message"}}. What it writes is the record's
             stdout and stderr. It leaving by SystemExit with anything but 0, and an unknown command, are
             answers with status `error`, and no faults
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Ask = Mapping[str, Any]
