// The client that the suite's client scenarios run: the official TypeScript client 2.x, which asks for
// every list and calls every tool. Arguments: the folder that holds node_modules, `direct` or a gate, and
// the URL of the scenario's server, which the suite appends. A gate is {command, folder} as JSON in
// base64url; it is started for this one scenario, with a state folder of its own, and the client is
// given its URL.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, how, url] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const SCENARIO = process.env.MCP_CONFORMANCE_SCENARIO ?? "";
const MODERN = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === "2026-07-28";
const CONTEXT = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const NUMBERS = { number: 5, integer: 5 };

// OAuth is between a client and its server; a gate answers for itself and relays none of it.
if (SCENARIO.startsWith("auth/")) process.exit(0);

function gateBefore(upstream) {
  const { command, folder: states } = JSON.parse(Buffer.from(how, "base64url").toString());
  const [program, ...args] = [...command, "--state-dir", mkdtempSync(join(states, "state-"))];
  const gate = spawn(program, [...args, "--upstream", upstream], { stdio: ["ignore", "pipe", "pipe"] });
  const at = new Promise((resolve, reject) => {
    let told = "";
    const read = (chunk) => {
      told += chunk;
      const found = /URL +(http:\S+)/.exec(told);
      if (found) resolve(found[1]);
    };
    gate.stdout.on("data", read);
    gate.stderr.on("data", read);
    gate.on("exit", () => reject(new Error(`the gate ended: ${told}`)));
  });
  const stop = () =>
    new Promise((resolve) => {
      gate.on("exit", resolve);
      gate.kill("SIGTERM");
    });
  return { at, stop };
}

function argumentsFor(schema) {
  const given = {};
  for (const [name, about] of Object.entries(schema?.properties ?? {})) {
    if (about.type in NUMBERS) given[name] = NUMBERS[about.type];
    else if (about.type === "boolean") given[name] = true;
    else if (about.type === "string") given[name] = about.enum?.[0] ?? "some words";
  }
  return given;
}

function formFor(schema) {
  const content = {};
  for (const [name, about] of Object.entries(schema?.properties ?? {})) {
    if ("default" in about) continue; // the client fills it in
    content[name] = about.type === "boolean" ? true : (NUMBERS[about.type] ?? "some words");
  }
  return { action: "accept", content };
}

// The calls that a scenario asks for, else one of each tool.
function callsFor(tools) {
  if (CONTEXT.toolCalls) return CONTEXT.toolCalls;
  if (SCENARIO === "json-schema-2020-12-preservation") {
    const focal = tools.find((tool) => tool.name === "json_schema_2020_12_tool");
    return [{ name: "json_schema_echo", arguments: { schema: focal?.inputSchema } }];
  }
  return tools.map((tool) => ({ name: tool.name, arguments: argumentsFor(tool.inputSchema) }));
}

async function quietly(step) {
  try {
    return await step();
  } catch (error) {
    process.stderr.write(`${error.constructor.name}: ${error.message}\n`);
    return undefined;
  }
}

async function talk(server) {
  const client = new Client(
    { name: "conformance-client", version: "1" },
    {
      capabilities: { sampling: {}, elicitation: { form: { applyDefaults: true } }, roots: {} },
      versionNegotiation: { mode: MODERN ? "auto" : "legacy" },
    },
  );
  client.setRequestHandler("elicitation/create", (request) => formFor(request.params.requestedSchema));
  await client.connect(new StreamableHTTPClientTransport(new URL(server)));
  const { tools = [] } = (await quietly(() => client.listTools())) ?? {};
  for (const call of callsFor(tools)) await quietly(() => client.callTool(call));
  if (client.getServerCapabilities()?.resources) {
    const { resources = [] } = (await quietly(() => client.listResources())) ?? {};
    for (const { uri } of resources) await quietly(() => client.readResource({ uri }));
  }
  if (client.getServerCapabilities()?.prompts) {
    const { prompts = [] } = (await quietly(() => client.listPrompts())) ?? {};
    for (const { name } of prompts) await quietly(() => client.getPrompt({ name }));
  }
  await client.close();
}

const gate = how === "direct" ? null : gateBefore(url);
try {
  await talk(gate ? await gate.at : url);
} finally {
  await gate?.stop();
}
process.exit(0);
