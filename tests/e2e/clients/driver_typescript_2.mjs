// Drives the official TypeScript client 2.x. Argument: the folder that holds node_modules.
import { createRequire } from "node:module";
import { CAPABILITIES, ELICITED, ROOTS, SAMPLED, serve } from "./driver_common.mjs";

const require = createRequire(`${process.argv[2]}/package.json`);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

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
  const versionNegotiation = { mode: command.mode ?? "auto" };
  const hear = () => connection.heard.push({ method: "notifications/tools/list_changed" });
  const listChanged = { tools: { autoRefresh: false, debounceMs: 0, onChanged: hear } };
  const options = { capabilities, versionNegotiation, ...(command.changes ? { listChanged } : {}) };
  const client = new Client({ name: "e2e", version: "1" }, options);
  if (command.answers) {
    const answer = (method, result) =>
      client.setRequestHandler(method, () => {
        connection.asked.push(method);
        return result;
      });
    answer("sampling/createMessage", SAMPLED);
    answer("elicitation/create", ELICITED);
    answer("roots/list", ROOTS);
  }
  if (command.elicits) {
    client.setRequestHandler("elicitation/create", () => {
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
    protocolVersion: client.getNegotiatedProtocolVersion(),
  };
  const end = async () => {
    if (transport.terminateSession) await transport.terminateSession().catch(() => undefined);
    await client.close();
  };
  return { client, about, end };
}

function ask(client, method, params, onprogress) {
  if (method === "tools/call") return client.callTool(params, { onprogress });
  const named = {
    "tools/list": () => client.listTools(undefined, { cacheMode: "refresh" }),
    "resources/list": () => client.listResources(undefined, { cacheMode: "refresh" }),
    "resources/templates/list": () => client.listResourceTemplates(undefined, { cacheMode: "refresh" }),
    "resources/read": () => client.readResource(params, { cacheMode: "refresh" }),
    "prompts/list": () => client.listPrompts(undefined, { cacheMode: "refresh" }),
    "prompts/get": () => client.getPrompt(params),
    "completion/complete": () => client.complete(params),
    "logging/setLevel": () => client.setLoggingLevel(params.level),
    "resources/subscribe": () => client.subscribeResource(params),
    "resources/unsubscribe": () => client.unsubscribeResource(params),
    ping: () => client.ping(),
  };
  return named[method]();
}

serve({ open, ask });
