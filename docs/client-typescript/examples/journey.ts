// node examples/journey.ts http://127.0.0.1:3001
// Registers, makes an agent and a workflow, runs it, and shows that another tenant finds none of it.

import { ApiError, Turbocat, type ExecutionView } from "../src/index.ts";

declare const process: { argv: string[] };

const OVER = new Set(["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"]);
const baseUrl = process.argv[2] ?? "http://127.0.0.1:3001";

async function somebody(name: string): Promise<Turbocat> {
  const client = new Turbocat({ baseUrl });
  const email = `${name}-${crypto.randomUUID()}@example.com`;
  await client.register({ email, password: "Lovelace-1815", fullName: name });
  return client;
}

async function ended(client: Turbocat, executionId: string): Promise<ExecutionView> {
  for (;;) {
    const execution = await client.getExecution(executionId);
    if (OVER.has(execution.status)) return execution;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const ada = await somebody("Ada");
const code = 'def main(input):\n    return {"text": "Hello, " + input["name"]}';
const agent = await ada.createAgent({ name: "Greeter", type: "CODE", config: { language: "python", code } });
await ada.updateAgent(agent.id, { status: "ACTIVE" }, { ifMatch: agent.version });
const workflow = await ada.createWorkflow({
  name: "Greeting",
  status: "ACTIVE",
  steps: [{ stepKey: "greet", agentId: agent.id, inputs: { name: "{{ inputs.name }}" } }],
  output: { text: "{{ greet.output.text }}" },
});
const started = await ada.executeWorkflow(workflow.id, { inputs: { name: "Charles" } });
const execution = await ended(ada, started.executionId);
const listed = await ada.listExecutions({ status: ["COMPLETED"], pageSize: 5 });
const key = await ada.createApiKey({ name: "journey", scopes: ["executions:read"] });
const machine = new Turbocat({ baseUrl, apiKey: key.key });
const seen = await machine.getExecution(execution.id);
const charles = await somebody("Charles");
const refusal = await charles.getExecution(execution.id).catch((error: unknown) => error);
const stale = await ada.updateAgent(agent.id, { tags: ["late"] }, { ifMatch: 1 }).catch((error: unknown) => error);

function told(error: unknown): object {
  if (!(error instanceof ApiError)) throw error;
  return { status: error.status, code: error.code, hasRequestId: error.requestId !== undefined };
}

console.log(
  JSON.stringify({
    status: execution.status,
    outputs: execution.outputs,
    total: listed.pagination.totalItems,
    byKey: seen.id === execution.id,
    refusal: told(refusal),
    stale: told(stale),
  }),
);
