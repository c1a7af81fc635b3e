// Drives the official TypeScript SDK 1.x. Argument: the folder that holds node_modules.
import { createRequire } from "node:module";
import { CAPABILITIES, ELICITED, ROOTS, SAMPLED, serve } from "./driver_common.mjs";

const require = createRequire(`${process.argv[2]}/package.json`);
const SDK = "@modelcontextprotocol/sdk";
const { Client } = require(`${SDK}/client/index.js`);
const { StdioClientTransport } = require(`${SDK}/client/stdio.js`);
const { StreamableHTTPClientTransport } = require(`${SDK}/client/streamableHttp.js`);
const { SSEClientTransport } = require(`${SDK}/client/sse.js`);
const types = require(`${SDK}/types.js`);

function transportFor(command, connection) {
  if (command.http) {
    const headers = command.http.token ? { Authorization: `Bearer ${command.http.token}` } : {};
    return new StreamableHTTPClientTransport(new URL(command.http.url), { requestInit: { headers } });
  }
  if (command.sse) {
    const headers = command.sse.token ? { Authorization: `Bearer ${command.sse.token}` } : {};
    return new SSEClientTransport(new URL(command.sse.url), { requestInit: { headers } });
  }
  const [program, ...args] = command.stdio.command;
  const env = { ...process.env, ...(command.stdio.env ?? {}) };
  return new StdioClientTransport({ command: program, args, env, stderr: connection.log });
}

async function open(command, connection) {
  const forms = command.elicits ? { elicitation: { form: {} } } : {};
  const capabilities = command.answers ? CAPABILITIES : forms;
  const client = new Client({ name: "e2e", version: "1" }, { capabilities });
  if (command.answers) {
    const answer = (schema, result) =>
      client.setRequestHandler(schema, (request) => {
        connection.asked.push(request.method);
        return result;
      });
    answer(types.CreateMessageRequestSchema, SAMPLED);
    answer(types.ElicitRequestSchema, ELICITED);
    answer(types.ListRootsRequestSchema, ROOTS);
  }
  if (command.elicits) {
    client.setRequestHandler(types.ElicitRequestSchema, () => {
      connection.asked.push("elicitation/create");
      return command.elicits;
    });
  }
  client.fallbackNotificationHandler = async (notification) => connection.heard.push(notification);
  const transport = transportFor(command, connection);
  await client.connect(transport);
  const about = {
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  };
  const end = async () => {
    if (transport.terminateSession) await transport.terminateSession();
    await client.close();
  };
  return { client, about, end };
}

// Results keep every member here, known to the SDK or not: its loose schema lets them all through.
function ask(client, method, params, onprogress) {
  if (method === "tools/call") return client.callTool(params, undefined, { onprogress });
  return client.request({ method, params }, types.ResultSchema);
}

serve({ open, ask });
