// Runs steps against an MCP server with one of the TypeScript SDKs, and prints what came back.
//
// Usage: node client.cjs PACKAGES SDK TARGET STEPS
// PACKAGES is a folder whose node_modules has the SDKs; SDK is "v1", or "v2" with the newest protocol
// that the server knows; TARGET a URL, or a JSON list with the command of a stdio server; STEPS a JSON
// list of [verb, name, arguments]. Prints a JSON list with one object per step: {"ok": ...} or
// {"error": ...}.

const { createRequire } = require("node:module");

const [packages, sdk, target, steps] = process.argv.slice(2);
const load = createRequire(`${packages}/`);
const capabilities = { elicitation: {} };
const self = { name: "test", version: "1" };
const user = { action: "accept", content: { username: "ada", email: "ada@example.com", name: "Ada" } };

/** Makes a client of SDK v1, which speaks protocol 2025-11-25. */
function v1(heard) {
  const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
  const types = load("@modelcontextprotocol/sdk/types.js");
  const client = new Client(self, { capabilities });
  client.setRequestHandler(types.ElicitRequestSchema, () => user);
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => {
    heard.push(params.data);
  });
  return {
    client,
    call: (params, options) => client.callTool(params, undefined, options),
    ...load("@modelcontextprotocol/sdk/client/stdio.js"),
    ...load("@modelcontextprotocol/sdk/client/streamableHttp.js"),
  };
}

/** Makes a client of SDK v2, which speaks protocol 2026-07-28. */
function v2(heard) {
  const { Client, ...rest } = load("@modelcontextprotocol/client");
  const client = new Client(self, { capabilities, versionNegotiation: { mode: "auto" } });
  client.setRequestHandler("elicitation/create", () => user);
  client.setNotificationHandler("notifications/message", ({ params }) => heard.push(params.data));
  return {
    client,
    call: (params, options) => client.callTool(params, options),
    ...rest,
    ...load("@modelcontextprotocol/client/stdio"),
  };
}

async function step({ client, call }, heard, [verb, name, args]) {
  switch (verb) {
    case "list":
      return (await client[{ tools: "listTools", resources: "listResources", prompts: "listPrompts" }[name]]())[name];
    case "call": {
      heard.length = 0;
      const onprogress = (progress) => heard.push(progress.progress);
      const result = await call({ name, arguments: args }, { onprogress });
      return { ...result, heard: [...heard] };
    }
    case "read":
      return (await client.readResource({ uri: name })).contents;
    case "prompt":
      return (await client.getPrompt({ name, arguments: args })).messages;
    case "complete":
      return (await client.complete({ ref: { type: "ref/prompt", name }, argument: args })).completion.values;
  }
  throw new Error(`unknown verb ${verb}`);
}

async function main() {
  const heard = [];
  const made = { v1, v2 }[sdk](heard);
  if (target.startsWith("[")) {
    const [command, ...args] = JSON.parse(target);
    await made.client.connect(new made.StdioClientTransport({ command, args, stderr: "ignore" }));
  } else {
    await made.client.connect(new made.StreamableHTTPClientTransport(new URL(target)));
  }
  const answers = [];
  for (const each of JSON.parse(steps)) {
    try {
      answers.push({ ok: await step(made, heard, each) });
    } catch (error) {
      answers.push({ error: error.message });
    }
  }
  await made.client.close();
  console.log(JSON.stringify(answers));
}

main();
