"""How the HTML report looks: light and dark, on a phone, and on paper."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --soft: #59636e; --line: #d5dae0; --box: #f5f7f9;
  --crit: #b3132b; --critbg: #fde8ea; --high: #9a4300; --highbg: #fdeedd; --med: #735c00; --medbg: #fbf3cf;
  --low: #1a6b3c; --lowbg: #e2f4e8; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171b; --fg: #e4e8ec; --soft: #a0abb6; --line: #353c45;
  --box: #1c2127; --crit: #ff9aa6; --critbg: #45171e; --high: #ffb77a; --highbg: #432a12; --med: #ecd36b;
  --medbg: #393110; --low: #86dca5; --lowbg: #15381f; --link: #8ab8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; background: var(--bg); color: var(--fg);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--soft); font-weight: 600; }
p { margin: .375rem 0; }
a { color: var(--link); }
code, pre, .said { font: .875em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .75rem;
  margin: .5rem 0; white-space: pre-wrap; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .375rem .75rem .375rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.said { display: block; white-space: pre-wrap; border-left: 3px solid var(--line); padding-left: .75rem;
  margin: .375rem 0; overflow: hidden; }
.name { display: inline-block; max-width: 100%; overflow: hidden; vertical-align: bottom; }
.badge { display: inline-block; border-radius: 4px; padding: 0 .5rem; font-size: .8125rem; font-weight: 600;
  white-space: nowrap; }
.Critical, .F, .E { color: var(--crit); background: var(--critbg); }
.High, .D { color: var(--high); background: var(--highbg); }
.Medium, .C { color: var(--med); background: var(--medbg); }
.Low, .A, .B { color: var(--low); background: var(--lowbg); }
.none { color: var(--soft); background: var(--box); }
.grade { flex: none; width: 3.25rem; height: 3.25rem; border-radius: 8px; font-size: 1.75rem;
  font-weight: 700; display: grid; place-items: center; }
.head { display: flex; gap: 1rem; align-items: center; }
section { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
.bar { display: block; width: 100%; height: .5rem; border-radius: 4px; margin: .75rem 0 .25rem; }
.fill-Critical { fill: var(--crit); } .fill-High { fill: var(--high); } .fill-Medium { fill: var(--med); }
.fill-Low { fill: var(--low); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .75rem 0;
  font-size: .9375rem; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; }
.alarm { border: 1px solid var(--crit); border-radius: 8px; padding: .25rem 1rem .75rem; margin: 1rem 0; }
.alarm h3 { margin: .5rem 0; color: var(--crit); }
.alarm ul, .plain { list-style: none; padding: 0; margin: 0; }
.alarm > ul > li + li { margin-top: 1rem; }
.alarm > ul > li > .name { font-weight: 600; }
.plain > li { margin: .25rem 0; }
.legend, .row { display: grid; grid-template-columns: 5.5rem minmax(0, 15rem) minmax(0, 1fr);
  gap: .125rem 1rem; }
.legend { font-size: .875rem; color: var(--soft); font-weight: 600; padding: 0 1.25rem .25rem; }
.tools { border: 1px solid var(--line); border-radius: 8px; }
details + details { border-top: 1px solid var(--line); }
summary { display: block; padding: .5rem 1.25rem; cursor: pointer; position: relative; }
summary::before { content: "+"; position: absolute; left: .375rem; color: var(--soft); }
details[open] > summary::before { content: "\\2212"; }
summary:hover { background: var(--box); }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: -2px; }
.row .name { font-weight: 600; }
.row .why { font-size: .875rem; }
mark { background: none; color: inherit; font-weight: 600; text-decoration: underline;
  text-underline-offset: 2px; }
.inside { padding: 0 1.25rem 1rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media (max-width: 40rem) {
  .legend { display: none; }
  .row { grid-template-columns: minmax(0, 1fr); }
  dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dl.facts dd { margin-bottom: .5rem; }
  thead { display: none; }
  tr { display: block; border-bottom: 1px solid var(--line); padding: .375rem 0; }
  td, td.n { display: block; text-align: left; border: 0; padding: 0; }
  td[data-of]::before { content: attr(data-of) " "; color: var(--soft); }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  details::details-content { content-visibility: visible; block-size: auto; }
  details, .alarm, tr { break-inside: avoid; }
  summary::before { content: ""; }
}
"""

POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""What a browser may do with the report: apply this style, and nothing else."""
