// What the official TypeScript SDKs make of bytes that reach their servers: the protocol of
// python_sdk.py. Argument: the folder that holds node_modules.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable, Writable } from "node:stream";
import { canonical } from "./canonical.mjs";

const require = createRequire(join(process.argv[2], "package.json"));
const first = require("@modelcontextprotocol/sdk/types.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { deserializeMessage } = require("@modelcontextprotocol/sdk/shared/stdio.js");
const second = require("@modelcontextprotocol/client");
const secondTypes = require("@modelcontextprotocol/core");

// As the SDK's HTTP transports do: fetch's text decoding, JSON.parse, the schema.
const text = (body) => new TextDecoder().decode(body);
const WAYS = {
  "1 http": [(body) => first.JSONRPCMessageSchema.parse(JSON.parse(text(body))), first.CallToolRequestSchema],
  "1 stdio": [(body) => deserializeMessage(body.toString("utf8")), first.CallToolRequestSchema],
  "2 http": [(body) => second.parseJSONRPCMessage(JSON.parse(text(body))), secondTypes.CallToolRequestSchema],
  "2 stdio": [(body) => second.deserializeMessage(body.toString("utf8")), secondTypes.CallToolRequestSchema],
};

function understood(message, schema) {
  const found = { method: canonical(message.method ?? ""), id: canonical(message.id) };
  if (message.method !== "tools/call" || message.id === undefined) {
    found.params = canonical(message.params ?? {});
    return found;
  }
  const { params } = schema.parse(message);
  found.name = canonical(params.name);
  found.arguments = canonical(params.arguments ?? {});
  return found;
}

function read(body) {
  const found = {};
  for (const [way, [parse, schema]] of Object.entries(WAYS)) {
    try {
      found[way] = understood(parse(body), schema);
    } catch (error) {
      found[way] = { refused: error.constructor.name };
    }
  }
  return found;
}

// Version 1's own transport; version 2's differs in nothing but the class it is in, and its buffer is
// read directly.
async function split(stream) {
  const found = [];
  const transport = new StdioServerTransport(Readable.from(pieces(stream)), new Writable());
  transport.onmessage = (message) => found.push(understood(message, first.CallToolRequestSchema));
  transport.onerror = (error) => found.push({ refused: error.constructor.name });
  const ended = new Promise((resolve) => transport._stdin.once("end", resolve));
  await transport.start();
  await ended;
  const buffer = new second.ReadBuffer();
  const again = [];
  for (const piece of pieces(stream)) {
    buffer.append(piece);
    for (;;) {
      try {
        const message = buffer.readMessage();
        if (message === null) break;
        again.push(understood(message, secondTypes.CallToolRequestSchema));
      } catch (error) {
        again.push({ refused: error.constructor.name });
      }
    }
  }
  return { first: found, second: again };
}

// In the sizes in which a pipe gives them.
function* pieces(stream) {
  for (let at = 0; at < stream.length; at += 65536) yield stream.subarray(at, at + 65536);
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const answer = asked.body === undefined ? await split(Buffer.from(asked.stream, "base64")) : read(Buffer.from(asked.body, "base64"));
  process.stdout.write(JSON.stringify(answer) + "\n");
}
