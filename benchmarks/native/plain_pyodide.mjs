// The plain way to put Pyodide behind MCP, for comparison: one interpreter in this process, no walls, and a
// new one after a time-out. Standard streams, one line a message. usage: node plain_pyodide.mjs FOLDER
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

const folder = isMainThread ? process.argv[2] : workerData;

if (isMainThread) {
  let worker = null;
  const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  const start = () => new Worker(new URL(import.meta.url), { workerData: folder, stdout: true });
  const tool = { name: "python_execute", inputSchema: { type: "object", properties: { code: { type: "string" } } } };

  const call = (id, { code, timeout = 60000 }) => {
    worker ??= start();
    const late = setTimeout(() => {
      worker.terminate();
      worker = null;
      say({ id, result: { content: [{ type: "text", text: "timeout" }], isError: true } });
    }, timeout);
    worker.once("message", (text) => {
      clearTimeout(late);
      say({ id, result: { content: [{ type: "text", text }] } });
    });
    worker.postMessage(code);
  };

  createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    if (method === "initialize") {
      const about = { capabilities: { tools: {} }, serverInfo: { name: "plain", version: "0" } };
      say({ id, result: { protocolVersion: params.protocolVersion, ...about } });
    } else if (method === "tools/list") say({ id, result: { tools: [tool] } });
    else if (method === "tools/call") call(id, params.arguments);
    else say({ id, result: {} });
  }).on("close", () => process.exit(0));
} else {
  const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`).href);
  const printed = [];
  const python = await loadPyodide({ stdout: (line) => printed.push(line) });
  parentPort.on("message", async (code) => {
    printed.length = 0;
    const value = await python.runPythonAsync(code, { globals: python.toPy({}) });
    parentPort.postMessage([...printed, `${value ?? ""}`].join("\n"));
  });
}
