// node --test: the transport against a server that is told what to answer.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, NetworkError, Turbocat } from "../src/index.ts";

const tokens = (name) => ({
  tokenType: "Bearer",
  accessToken: `access-${name}`,
  accessTokenExpiresAt: "2026-01-31T12:00:00.000Z",
  refreshToken: `refresh-${name}`,
  refreshTokenExpiresAt: "2026-02-07T12:00:00.000Z",
});
const meta = { timestamp: "2026-01-31T12:00:00.000Z", requestId: "request-1" };

function json(status, content, headers = {}) {
  return new Response(JSON.stringify(content), { status, headers: { "Content-Type": "application/json", ...headers } });
}

const ok = (data) => json(200, { success: true, data, meta });
const failure = (status, code, headers) =>
  json(status, { success: false, error: { code, message: code, details: [] }, meta }, headers);

/** A client whose calls are answered in turn; a function answers from the call, an error is thrown. */
function client(answers, options = {}) {
  const calls = [];
  const waits = [];
  const fetch = async (url, init) => {
    calls.push({ url, ...init });
    const answer = answers[calls.length - 1];
    assert.ok(answer, `nobody expected call ${calls.length}: ${init.method} ${url}`);
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer(url, init) : answer;
  };
  const sleep = async (milliseconds) => void waits.push(milliseconds);
  const api = new Turbocat({ baseUrl: "http://api.example.com/", fetch, sleep, ...options });
  return { api, calls, waits };
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was thrown");
}

test("an error has its code, status, details and request id", async () => {
  const details = [{ path: "name", code: "REQUIRED", message: "Field required" }];
  const envelope = { success: false, error: { code: "VALIDATION_ERROR", message: "Not valid", details }, meta };
  const { api } = client([json(400, envelope)]);
  const error = await errorOf(api.createAgent({}));
  assert.ok(error instanceof ApiError);
  assert.deepEqual(
    [error.code, error.status, error.details, error.requestId, error.message],
    ["VALIDATION_ERROR", 400, details, "request-1", "Not valid"],
  );
});

test("an answer that is not of the contract is an error too", async () => {
  const page = new Response("<h1>Bad Gateway</h1>", { status: 502, headers: { "Content-Type": "text/html" } });
  const error = await errorOf(client([page]).api.getOwnProfile());
  assert.deepEqual([error.code, error.status], ["UNEXPECTED_ANSWER", 502]);
});

test("a login's tokens are used and handed on; open calls send none", async () => {
  const kept = [];
  const { api, calls } = client([ok({ tokens: tokens("one") }), ok({ id: "me" }), ok({ tokens: tokens("two") })], {
    onTokens: (each) => kept.push(each?.accessToken),
  });
  await api.login({ email: "ada@example.com", password: "x" });
  await api.getOwnProfile();
  await api.login({ email: "ada@example.com", password: "x" });
  assert.deepEqual(calls.map((call) => call.headers.Authorization), [undefined, "Bearer access-one", undefined]);
  assert.deepEqual(kept, ["access-one", "access-two"]);
});

test("a key is sent where there are no tokens", async () => {
  const { api, calls } = client([ok({}), ok({})], { apiKey: "tc_key" });
  await api.getOwnProfile();
  api.tokens = tokens("one");
  await api.getOwnProfile();
  assert.deepEqual(calls.map((call) => call.headers["X-API-Key"]), ["tc_key", undefined]);
});

test("an expired token is refreshed once and the call sent again, with the same key", async () => {
  const { api, calls } = client(
    [failure(401, "TOKEN_EXPIRED"), ok({ tokens: tokens("two") }), ok({ id: "agent" })],
    { tokens: tokens("one") },
  );
  assert.deepEqual(await api.createAgent({ name: "a", type: "CODE", config: {} }), { id: "agent" });
  assert.deepEqual(JSON.parse(calls[1].body), { refreshToken: "refresh-one" });
  assert.equal(calls[2].headers.Authorization, "Bearer access-two");
  assert.equal(calls[0].headers["Idempotency-Key"], calls[2].headers["Idempotency-Key"]);
});

test("a token that is expired again is an error", async () => {
  const expired = () => failure(401, "TOKEN_EXPIRED");
  const { api, calls } = client([expired(), ok({ tokens: tokens("two") }), expired()], { tokens: tokens("one") });
  assert.equal((await errorOf(api.getOwnProfile())).code, "TOKEN_EXPIRED");
  assert.equal(calls.length, 3);
});

test("calls that expire together refresh once", async () => {
  const answer = (url, init) => {
    if (url.endsWith("/auth/refresh")) return ok({ tokens: tokens("two") });
    return init.headers.Authorization === "Bearer access-one" ? failure(401, "TOKEN_EXPIRED") : ok({ id: "me" });
  };
  const { api, calls } = client(Array(10).fill(answer), { tokens: tokens("one") });
  await Promise.all([api.getOwnProfile(), api.getOwnProfile(), api.getOwnProfile()]);
  assert.equal(calls.filter((call) => call.url.endsWith("/auth/refresh")).length, 1);
});

test("a session that is over is forgotten", async () => {
  const { api } = client([failure(401, "TOKEN_EXPIRED"), failure(401, "TOKEN_REUSED")], { tokens: tokens("one") });
  assert.equal((await errorOf(api.getOwnProfile())).code, "TOKEN_REUSED");
  assert.equal(api.tokens, undefined);
});

test("other refusals are not refreshed", async () => {
  const { api, calls } = client([failure(401, "UNAUTHENTICATED")], { tokens: tokens("one") });
  assert.equal((await errorOf(api.getOwnProfile())).code, "UNAUTHENTICATED");
  assert.equal(calls.length, 1);
});

test("a wait that is asked for is kept, and grows where none is", async () => {
  const away = () => failure(503, "SERVICE_UNAVAILABLE");
  const { api, waits } = client([failure(429, "RATE_LIMITED", { "Retry-After": "7" }), away(), away(), ok({})]);
  await api.getOwnProfile();
  assert.equal(waits[0], 7000);
  assert.ok(waits[1] >= 250 && waits[1] <= 500 && waits[2] >= 500 && waits[2] <= 1000, String(waits));
});

test("tries come to an end", async () => {
  const { api, calls } = client(Array.from({ length: 3 }, () => failure(503, "SERVICE_UNAVAILABLE")), { retries: 2 });
  assert.equal((await errorOf(api.getOwnProfile())).status, 503);
  assert.equal(calls.length, 3);
});

test("a wait that is too long is the caller's to decide on", async () => {
  const { api, waits } = client([failure(423, "ACCOUNT_LOCKED", { "Retry-After": "900" })]);
  const error = await errorOf(api.login({ email: "ada@example.com", password: "x" }));
  assert.deepEqual([error.code, error.retryAfterSeconds, waits], ["ACCOUNT_LOCKED", 900, []]);
  const limited = client([failure(429, "RATE_LIMITED", { "Retry-After": "900" })]);
  assert.equal((await errorOf(limited.api.getOwnProfile())).code, "RATE_LIMITED");
});

test("a broken connection is tried again where that is safe", async () => {
  const broken = new TypeError("fetch failed");
  const reading = client([broken, ok({ id: "me" })]);
  assert.deepEqual(await reading.api.getOwnProfile(), { id: "me" });
  const creating = client([broken, ok({ id: "agent" })]);
  await creating.api.createAgent({ name: "a", type: "CODE", config: {} });
  assert.equal(creating.calls[0].headers["Idempotency-Key"], creating.calls[1].headers["Idempotency-Key"]);
});

test("a change without a key is not sent again, unless nothing was done", async () => {
  const broken = client([new TypeError("fetch failed")]);
  const error = await errorOf(broken.api.updateAgent("1", {}));
  assert.ok(error instanceof NetworkError);
  assert.ok(error.cause instanceof TypeError);
  const away = client([failure(503, "SERVICE_UNAVAILABLE")]);
  assert.equal((await errorOf(away.api.updateAgent("1", {}))).status, 503);
  const limited = client([failure(429, "RATE_LIMITED"), ok({ id: "1" })]);
  assert.deepEqual(await limited.api.updateAgent("1", {}), { id: "1" });
});

test("an interrupted call is not tried again", async () => {
  const interruption = new AbortController();
  const interrupted = () => {
    interruption.abort();
    throw interruption.signal.reason;
  };
  const { api, calls } = client([interrupted]);
  assert.equal((await errorOf(api.getOwnProfile({ signal: interruption.signal }))).name, "AbortError");
  assert.equal(calls.length, 1);
});

test("paths, queries and headers are written as the contract wants them", async () => {
  const page = { success: true, data: [], meta: { ...meta, pagination: { page: 2, pageSize: 5, totalItems: 0, totalPages: 0 } } };
  const { api, calls } = client([json(200, page), ok({}), new Response(null, { status: 204 })]);
  const agents = await api.listAgents({ tags: ["a b", "c"], page: 2, pageSize: 5 });
  assert.equal(agents.pagination.page, 2);
  await api.updateAgent("a/../b", { name: "n" }, { ifMatch: 3, requestId: "my-request" });
  assert.equal(await api.deleteAgent("1"), undefined);
  assert.equal(calls[0].url, "http://api.example.com/api/v1/agents?tags=a+b&tags=c&page=2&pageSize=5");
  assert.equal(calls[1].url, "http://api.example.com/api/v1/agents/a%2F..%2Fb");
  assert.deepEqual([calls[1].headers["If-Match"], calls[1].headers["X-Request-ID"]], ['"3"', "my-request"]);
});

const stream = (...pieces) =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) {
          if (piece instanceof Error) return controller.error(piece);
          controller.enqueue(new TextEncoder().encode(piece));
        }
        controller.close();
      },
    }),
    { headers: { "Content-Type": "text/event-stream" } },
  );
const status = (id, value) => `id: ${id}\nevent: execution.status\ndata: {"seq":${id},"status":"${value}"}\n\n`;

test("a stream is taken up where it broke, and ends after the final status", async () => {
  const first = stream("retry: 2000\n\n: still here\n\n" + status(1, "PENDING"), status(2, "RUNNING").slice(0, 20));
  const { api, calls, waits } = client([first, stream(status(2, "RUNNING"), status(3, "COMPLETED"), "never read")]);
  const seen = [];
  for await (const event of api.streamExecution("e1")) seen.push([event.event, event.data.status]);
  assert.deepEqual(seen.map(([, each]) => each), ["PENDING", "RUNNING", "COMPLETED"]);
  assert.equal(calls[0].url, "http://api.example.com/api/v1/executions/e1/stream");
  assert.equal(calls[1].url, "http://api.example.com/api/v1/executions/e1/stream?lastEventId=1");
  assert.deepEqual(waits, [2000]);
});

test("a download is bytes", async () => {
  const bytes = new Uint8Array([0, 255, 1]);
  const { api } = client([new Response(bytes, { headers: { "Content-Type": "application/vnd.apache.parquet" } })]);
  const blob = await api.downloadArtifact("a1", { format: "parquet" });
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
});
