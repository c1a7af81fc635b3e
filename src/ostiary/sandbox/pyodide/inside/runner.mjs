// The program that Node or Deno runs: loads CPython, says that it is ready, then answers jobs.
//
// Its one argument is JSON: see `launch.py`. Jobs come on descriptor 0 and answers leave on the
// descriptor that `replies` names, both as frames: two lengths (32 bits, the first byte the
// highest), a JSON object, and bytes that belong to it. Descriptors 1 and 2 carry what the code
// prints, byte for byte. Reading and writing block: nothing else happens meanwhile.

import fs from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";

const told = JSON.parse(process.argv[2]);
const deno = globalThis.Deno !== undefined;
const replies = deno ? fs.openSync(`/dev/fd/${told.replies}`, "w") : told.replies;
const leave = process.exit.bind(process);
const clock = new Int32Array(new SharedArrayBuffer(4));
const WORK = "/work";
const BROKEN = 70;
const REFUSED = 2; // EACCES, as WebAssembly numbers it

// Pyodide asks for constants of the file system in a way that Node's permissions refuse.
if (!deno) {
  const constants = { fs: fs.constants, os: {}, crypto: {}, zlib: {} };
  process.binding = (name) => {
    if (name === "constants") return constants;
    throw new Error(`no binding ${name}`);
  };
}

function nap(seconds) {
  Atomics.wait(clock, 0, 0, seconds * 1000);
}

function writeAll(descriptor, bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += fs.writeSync(descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      if (error.code !== "EAGAIN") leave(BROKEN); // nobody listens any more
      nap(0.001);
    }
  }
  return bytes.length;
}

/** Exactly that many bytes from descriptor 0, or null when the host has closed it. */
function readExactly(count) {
  const whole = new Uint8Array(count);
  for (let at = 0; at < count; ) {
    let got;
    try {
      got = fs.readSync(0, whole, at, count - at, null);
    } catch (error) {
      if (error.code !== "EAGAIN") return null;
      nap(0.001);
      continue;
    }
    if (!got) return null;
    at += got;
  }
  return whole;
}

function send(fields, body = new Uint8Array(0)) {
  const text = new TextEncoder().encode(JSON.stringify(fields));
  const head = new DataView(new ArrayBuffer(8));
  head.setUint32(0, text.length);
  head.setUint32(4, body.length);
  writeAll(replies, new Uint8Array(head.buffer));
  writeAll(replies, text);
  writeAll(replies, body);
}

function receive() {
  const head = readExactly(8);
  if (head === null) return null;
  const lengths = new DataView(head.buffer);
  const text = readExactly(lengths.getUint32(0));
  const body = text && readExactly(lengths.getUint32(4));
  return body && { text: new TextDecoder().decode(text), body };
}

/** Files lie in memory that no other bound counts: bound each of them, and all together. */
function boundFiles(FS, most, together) {
  const { file, dir } = FS.filesystems.MEMFS.ops_table;
  const { write } = file.stream;
  const { setattr } = file.node;
  const { unlink } = dir.node;
  const [tooLarge, noSpace] = [22, 51];
  let used = 0;
  const admit = (node, size) => {
    if (size > most) throw new FS.ErrnoError(tooLarge);
    if (used + Math.max(0, size - node.contents.length) > together) throw new FS.ErrnoError(noSpace);
  };
  const counted = (node, action) => {
    const before = node.contents.length;
    const result = action();
    used += node.contents.length - before;
    return result;
  };
  file.stream.write = (stream, buffer, offset, length, position, owned) => {
    admit(stream.node, position + length);
    return counted(stream.node, () => write(stream, buffer, offset, length, position, owned));
  };
  file.node.setattr = (node, attributes) => {
    if (attributes.size === undefined || !FS.isFile(node.mode)) return setattr(node, attributes);
    admit(node, attributes.size);
    return counted(node, () => setattr(node, attributes));
  };
  dir.node.unlink = (parent, name) => {
    const node = parent.contents[name];
    const open = FS.streams.some((stream) => stream && stream.node === node);
    unlink(parent, name);
    // One that is still open keeps its bytes: it stays counted, which errs on the safe side.
    if (node && FS.isFile(node.mode) && !open) used -= node.contents.length;
  };
}

/** Our Python: imported from files in memory that are gone afterwards. */
function bringIn(py) {
  const folder = "/lib/inside";
  for (const [name, text] of Object.entries(JSON.parse(fs.readFileSync(told.modules, "utf8")))) {
    const path = `${folder}/${name}`;
    py.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    py.FS.writeFile(path, text);
  }
  return py.runPython(`
import sys, shutil, importlib
sys.path.insert(0, "${folder}")
sys.dont_write_bytecode = True
made = importlib.import_module("${told.answering}").Answering()
sys.path.remove("${folder}")
shutil.rmtree("${folder}")
sys.modules["__main__"].__dict__["_ostiary_answering"] = made
made
`);
}

// The first of two walls, and the lower one: what code reaches of JavaScript through `js`.
const KEPT = [
  "Array", "BigInt", "Date", "Error", "JSON", "Map", "Math", "Number", "Object", "Promise", "Set",
  "String", "Uint8Array", "clearTimeout", "setTimeout",
];
const TAKEN = ["process", "require", "module", "Buffer", "fetch", "WebSocket", "Worker", "EventSource"];

function given() {
  const kept = Object.create(null);
  for (const name of KEPT) kept[name] = globalThis[name];
  return kept;
}

async function load() {
  const options = { indexURL: told.package, jsglobals: given() };
  if (told.make) options._makeSnapshot = true;
  if (told.snapshot) {
    options._loadSnapshot = fs.readFileSync(told.snapshot);
    options._snapshotDeserializer = () => null;
  }
  const { loadPyodide } = await import(pathToFileURL(`${told.package}/pyodide.mjs`).href);
  return await loadPyodide(options);
}

function settle(py, answering) {
  // Jobs are on descriptor 0 of the program; what Python has there are the bytes of a job.
  py.setStdin({ read: () => 0 });
  py.setStdout({ write: (bytes) => writeAll(1, bytes) });
  py.setStderr({ write: (bytes) => writeAll(2, bytes) });
  if (told.packages) {
    py.FS.mkdirTree("/packages");
    const { NODEFS } = py.FS.filesystems;
    // What the runtime's permissions refuse has no number of its own and would pass for a success.
    NODEFS.convertNodeCode = (error) => py.ERRNO_CODES[error.code] ?? REFUSED;
    py.FS.mount(NODEFS, { root: told.packages }, "/packages");
  }
  answering.settle(nap, WORK, told.packages ? "/packages" : "");
  boundFiles(py.FS, told.file_bytes, told.disk_bytes);
  for (const name of TAKEN) delete globalThis[name];
  globalThis.process = { exitCode: 0 }; // what an exit of Python's is noted in
  // What Pyodide has to say of its own end is in the last frame, and not in what the code printed.
  for (const name of ["debug", "error", "info", "log", "trace", "warn"]) console[name] = () => {};
  return answering.check(WORK, told.rounds);
}

function serve(answering) {
  for (let job = receive(); job !== null; job = receive()) {
    const answer = answering.answer(job.text, job.body);
    const view = answer.getBuffer("u8");
    writeAll(replies, view.data);
    view.release();
    answer.destroy();
    if (answering.leaving !== undefined) leave(answering.leaving);
  }
  leave(0);
}

try {
  const py = await load();
  const answering = told.snapshot ? py.globals.get("_ostiary_answering") : bringIn(py);
  if (told.make) {
    send({ snapshot: true }, py.makeMemorySnapshot({ serializer: () => null }));
    leave(0);
  }
  send({ ready: settle(py, answering) });
  serve(answering);
} catch (error) {
  if (error.name === "ExitStatus" || error.name === "Exit") leave(error.status ?? BROKEN);
  send({ broken: String(error).slice(0, 4096) });
  leave(BROKEN);
}
