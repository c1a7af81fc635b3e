// What both TypeScript drivers share: commands as JSON lines in, replies as JSON lines out.
// The protocol is described in tests/e2e/driver.py. Standard library only.
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";

export const ROOTS = { roots: [{ uri: "file:///tmp/one-root", name: "one" }] };
export const SAMPLED = {
  role: "assistant",
  content: { type: "text", text: "a sampled answer" },
  model: "model-of-the-test",
  stopReason: "endTurn",
};
export const ELICITED = { action: "accept", content: { name: "Ada", check: true } };
export const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} };

const pause = () => new Promise((resolve) => setTimeout(resolve, 10));

// `open(spec, connection)` connects and returns a client; `ask(client, method, params, note)` asks.
export function serve({ open, ask }) {
  const connections = new Map();

  async function obey(command) {
    const { name } = command;
    if (command.do === "connect") {
      const connection = { heard: [], asked: [], log: null };
      if (command.stdio) connection.log = openSync(command.stdio.log, "a");
      const opened = await open(command, connection);
      Object.assign(connection, opened);
      connections.set(name, connection);
      return { result: opened.about };
    }
    const connection = connections.get(name);
    if (command.do === "ask") {
      const progress = [];
      const note = (p) => progress.push([p.progress, p.total ?? null, p.message ?? null]);
      const result = await ask(connection.client, command.method, command.params ?? {}, note);
      return { result, progress };
    }
    if (command.do === "heard") {
      while (connection.heard.length < (command.count ?? 0)) await pause();
      return { result: { heard: connection.heard.splice(0), asked: connection.asked.splice(0) } };
    }
    connections.delete(name);
    await connection.end();
    if (connection.log !== null) closeSync(connection.log);
    return { result: null };
  }

  function failure(error) {
    if (Number.isInteger(error.code)) {
      const message = error.message.replace(/^MCP error -?\d+: /, "");
      return { error: { code: error.code, message, data: error.data ?? null } };
    }
    return { fault: `${error.constructor.name}: ${error.message}` };
  }

  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const command = JSON.parse(line);
    let reply;
    try {
      reply = await obey(command);
    } catch (error) {
      reply = failure(error);
    }
    process.stdout.write(JSON.stringify({ n: command.n, ...reply }) + "\n");
  });
  lines.on("close", async () => {
    for (const connection of connections.values()) await connection.end().catch(() => undefined);
    process.exit(0);
  });
}
