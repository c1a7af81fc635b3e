// A server of the official TypeScript SDK whose tools answer with what they were given.
// Arguments: the folder that holds node_modules, and the port to serve HTTP on; without a port it
// speaks over standard input and output.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { canonical } from "../readers/canonical.mjs";

const require = createRequire(join(process.argv[2], "package.json"));
const SDK = "@modelcontextprotocol/sdk";
const { Server } = require(`${SDK}/server/index.js`);
const { StdioServerTransport } = require(`${SDK}/server/stdio.js`);
const { StreamableHTTPServerTransport } = require(`${SDK}/server/streamableHttp.js`);
const types = require(`${SDK}/types.js`);

const names = JSON.parse(readFileSync(new URL("names.json", import.meta.url), "utf8"));

function recorder() {
  const server = new Server({ name: "recorder", version: "1" }, { capabilities: { tools: {} } });
  server.setRequestHandler(types.ListToolsRequestSchema, () => ({
    tools: names.map((name) => ({ name, inputSchema: { type: "object" } })),
  }));
  server.setRequestHandler(types.CallToolRequestSchema, (request, extra) => {
    const given = {
      method: canonical(request.method),
      id: canonical(extra.requestId),
      name: canonical(request.params.name),
      arguments: canonical(request.params.arguments ?? {}),
    };
    return { content: [{ type: "text", text: JSON.stringify(given) }] };
  });
  return server;
}

const port = process.argv[3];
if (port === undefined) {
  await recorder().connect(new StdioServerTransport());
} else {
  const sessions = new Map();
  createServer(async (request, response) => {
    let transport = sessions.get(request.headers["mcp-session-id"]);
    if (transport === undefined) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse: true,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      await recorder().connect(transport);
    }
    await transport.handleRequest(request, response);
  }).listen(Number(port), "127.0.0.1");
}
