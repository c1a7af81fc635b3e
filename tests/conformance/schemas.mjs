// Prints the official JSON schemas of the protocol, which the conformance suite carries in its bundle,
// as {revision: schema}. Arguments: the bundle, then the revisions in the order in which they stand in it.
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

const [bundle, ...revisions] = process.argv.slice(2);
const source = readFileSync(bundle, "utf8");

// The object literal that begins at `start`; braces inside strings do not count.
function literal(start) {
  let depth = 0;
  let quote = "";
  for (let at = start; at < source.length; at++) {
    const character = source[at];
    if (quote) {
      if (character === "\\") at++;
      else if (character === quote) quote = "";
    } else if ("`'\"".includes(character)) quote = character;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return source.slice(start, at + 1);
  }
  throw new Error("a schema has no end");
}

const found = [...source.matchAll(/\{\s*\$schema:\s*`[^`]*`,\s*(?:definitions|\$defs):\s*\{\s*Annotations:/g)];
if (found.length !== revisions.length) throw new Error(`${found.length} schemas, not ${revisions.length}`);
const schemas = revisions.map((revision, n) => [revision, runInNewContext(`(${literal(found[n].index)})`)]);
process.stdout.write(JSON.stringify(Object.fromEntries(schemas)));
