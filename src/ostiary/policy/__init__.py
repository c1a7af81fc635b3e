"""The decision point: from a policy's text to the decision on one call. Pure.

The text
  `load`         text -> `Document` and diagnostics; `source`, `json_source`, `yaml_source` read it
  `formats/`     four formats, each turned into the one normal form
  `model`        that normal form; `canonical` is its revision
  `diagnostic`   every problem a text can have; `check` compares with an upstream's tools
  `layout`, `convert`  the same text in one style; any format as format 4
  `understanding`, `jsonschema_export`  what a text was taken to mean; what editors need

The decision
  `compile`      normal form -> closures; `conditions`, `operators`, `comparisons`, `patterns`
  `decide`       one `tools/call`: the steps, numbered. `availability`, `twins`, `validation`
  `methods`      every other message, in both directions
  `charges`      what a call's limits ask of the ledger
  `decision`     question, answer and charge; `explain` shows an answer to people
  `testing`      calls with the decisions they must get, and which rules they exercise
  `definition`   tools as the upstream advertises them; `schema` reads their schemas, as hostile
  `reach`        what a policy makes the gate look at
"""
