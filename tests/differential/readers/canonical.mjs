// The spelling of canonical.py, for JavaScript: every number is a double.
const hex = (buffer) => Buffer.from(buffer).toString("hex");

export function units(text) {
  const bytes = Buffer.alloc(text.length * 2);
  for (let at = 0; at < text.length; at += 1) bytes.writeUInt16BE(text.charCodeAt(at), at * 2);
  return hex(bytes);
}

export function canonical(value) {
  if (value === null || value === undefined) return ["z"];
  if (typeof value === "boolean") return [value ? "t" : "f"];
  if (typeof value === "string") return ["s", units(value)];
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return ["d", hex(bytes)];
  }
  if (Array.isArray(value)) return ["a", value.map(canonical)];
  // What an implementation finds when it reads a property: own ones, and what a prototype brings in.
  const members = [];
  for (const key in value) members.push([units(key), canonical(value[key])]);
  return ["o", members.sort((one, other) => (one[0] < other[0] ? -1 : 1))];
}
