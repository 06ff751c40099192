import { ApiError, NetworkError } from "./errors.ts";
import type { ErrorEnvelope, Meta, Pagination } from "./envelope.ts";
import type { TokensView } from "./models.ts";

export interface ClientOptions {
  /** Where the platform answers, without a path: `http://127.0.0.1:3001`. */
  baseUrl: string;
  /** Key of a user or a project. Tokens, once there are any, go first. */
  apiKey?: string;
  /** Tokens of an earlier login. */
  tokens?: TokensView;
  /** Told of every new pair of tokens, and of their end: the place to keep them. */
  onTokens?: (tokens: TokensView | undefined) => void;
  /** How often a call that may be sent again is, after its first try; 3 unless said. */
  retries?: number;
  /** How long one try may take; 30 seconds unless said. */
  timeoutMs?: number;
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch;
  /** Instead of a timer, for tests. */
  sleep?: (milliseconds: number) => Promise<void>;
}

export interface CallOptions {
  /** The version that a change was made from; another one there is `VERSION_CONFLICT`. */
  ifMatch?: number;
  /** Of a POST: one of your own, to go on after a restart. Otherwise each call gets a new one. */
  idempotencyKey?: string;
  /** Your own id of the call, for the server's logs. */
  requestId?: string;
  signal?: AbortSignal;
}

/** One page of a list. */
export interface Page<T> {
  data: T[];
  pagination: Pagination;
}

export interface Operation {
  method: string;
  path: string;
  /** Which part of the answer the caller gets. */
  answer: "data" | "page" | "whole" | "text" | "blob" | "stream" | "nothing";
  query?: object;
  body?: unknown;
  /** Whether an `Idempotency-Key` makes it safe to send again. */
  takesKey?: boolean;
  /** Whether it needs no login. */
  open?: boolean;
  /** Whether its answer brings tokens to go on with. */
  signsIn?: boolean;
}

/** Statuses after which an execution says nothing more. */
const FINAL = new Set<unknown>(["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"]);
const REFRESH = "/api/v1/auth/refresh";
const RECONNECT_MS = 2000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 60_000;
const REPEATABLE = new Set(["GET", "HEAD", "PUT", "DELETE"]);

/** One part of a path. */
export function segment(value: string | number): string {
  return encodeURIComponent(String(value));
}

/** Sends operations: credentials, refreshing them, trying again, errors. */
export class Transport {
  readonly #options: ClientOptions;
  readonly #base: string;
  #tokens: TokensView | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#base = options.baseUrl.replace(/\/+$/, "");
    this.#tokens = options.tokens;
  }

  /** The tokens that calls are made with. */
  get tokens(): TokensView | undefined {
    return this.#tokens;
  }

  set tokens(tokens: TokensView | undefined) {
    this.#tokens = tokens;
    this.#options.onTokens?.(tokens);
  }

  protected async call<T>(operation: Operation, options: CallOptions): Promise<T> {
    const headers = this.#headers(operation, options);
    try {
      return await this.#sent<T>(operation, options, headers);
    } catch (error) {
      const expired = error instanceof ApiError && error.code === "TOKEN_EXPIRED";
      if (!expired || operation.open || this.#tokens === undefined) throw error;
      await this.#refresh(headers["Authorization"]);
      return this.#sent<T>(operation, options, headers);
    }
  }

  /** Events as they come, each once, over as many connections as that takes; ends after the final status. */
  protected async *events<T extends { event: string; data: object }>(
    operation: Operation,
    options: CallOptions,
  ): AsyncGenerator<T> {
    const state = { lastEventId: undefined as string | undefined };
    for (;;) {
      const lastEventId = state.lastEventId;
      const query = lastEventId === undefined ? operation.query : { ...operation.query, lastEventId };
      const body = await this.call<ReadableStream<Uint8Array>>({ ...operation, query: query ?? {} }, options);
      try {
        for await (const event of eventsOf<T>(body, state)) {
          yield event;
          if (event.event === "execution.status" && FINAL.has((event.data as { status?: unknown }).status)) return;
        }
      } catch (error) {
        if (options.signal?.aborted) throw error; // else a broken connection, which is taken up again
      }
      await (this.#options.sleep ?? sleep)(RECONNECT_MS);
    }
  }

  /** Tries until there is an answer, or no sense in another try. */
  async #sent<T>(operation: Operation, options: CallOptions, headers: Record<string, string>): Promise<T> {
    if (!operation.open) this.#sign(headers);
    const repeatable = REPEATABLE.has(operation.method) || "Idempotency-Key" in headers || operation.path === REFRESH;
    for (let tried = 0; ; tried += 1) {
      try {
        return await this.#once<T>(operation, options, headers);
      } catch (error) {
        const wait = tried < (this.#options.retries ?? 3) ? pause(error, tried, repeatable) : undefined;
        if (wait === undefined || options.signal?.aborted) throw error;
        await (this.#options.sleep ?? sleep)(wait);
      }
    }
  }

  async #once<T>(operation: Operation, options: CallOptions, headers: Record<string, string>): Promise<T> {
    const answer = await this.#fetch(operation, options, headers);
    if (!answer.ok) throw await errorOf(answer);
    if (operation.answer === "nothing" || answer.status === 204) return undefined as T;
    if (operation.answer === "stream") return answer.body as T;
    if (operation.answer === "blob") return (await answer.blob()) as T;
    if (!isJson(answer)) return (await answer.text()) as T;
    const content = (await answer.json()) as { data: unknown; meta: Meta };
    if (operation.signsIn) this.tokens = (content.data as { tokens: TokensView }).tokens;
    if (operation.answer === "page") return { data: content.data, pagination: content.meta.pagination } as T;
    return (operation.answer === "data" ? content.data : content) as T;
  }

  async #fetch(operation: Operation, options: CallOptions, headers: Record<string, string>): Promise<Response> {
    const bounded = operation.answer === "stream" ? [] : [AbortSignal.timeout(this.#options.timeoutMs ?? 30_000)];
    const signal = AbortSignal.any(options.signal === undefined ? bounded : [...bounded, options.signal]);
    const url = `${this.#base}${operation.path}${queryString(operation.query)}`;
    const body = operation.body === undefined ? null : JSON.stringify(operation.body);
    try {
      const send = this.#options.fetch ?? globalThis.fetch;
      return await send(url, { method: operation.method, headers, body, signal });
    } catch (cause) {
      if (options.signal?.aborted) throw cause;
      throw new NetworkError(`${operation.method} ${operation.path}: no answer`, { cause });
    }
  }

  #headers(operation: Operation, options: CallOptions): Record<string, string> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (operation.body !== undefined) headers["Content-Type"] = "application/json";
    if (operation.takesKey) headers["Idempotency-Key"] = options.idempotencyKey ?? crypto.randomUUID();
    if (options.ifMatch !== undefined) headers["If-Match"] = `"${options.ifMatch}"`;
    if (options.requestId !== undefined) headers["X-Request-ID"] = options.requestId;
    return headers;
  }

  #sign(headers: Record<string, string>): void {
    if (this.#tokens !== undefined) headers["Authorization"] = `Bearer ${this.#tokens.accessToken}`;
    else if (this.#options.apiKey !== undefined) headers["X-API-Key"] = this.#options.apiKey;
  }

  /** New tokens in place of those that `used` was signed with; calls that expire together refresh once. */
  async #refresh(used: string | undefined): Promise<void> {
    if (used !== `Bearer ${this.#tokens?.accessToken}`) return;
    this.#refreshing ??= this.#exchange().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #exchange(): Promise<void> {
    const operation: Operation = {
      method: "POST",
      path: REFRESH,
      answer: "data",
      body: { refreshToken: this.#tokens?.refreshToken },
      open: true,
      signsIn: true,
    };
    try {
      await this.#sent(operation, {}, this.#headers(operation, {}));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.tokens = undefined;
      throw error;
    }
  }
}

/** What one connection brings; `state` keeps the number to go on from. */
async function* eventsOf<T>(
  body: ReadableStream<Uint8Array>,
  state: { lastEventId: string | undefined },
): AsyncGenerator<T> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let left = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (left + value).split("\n\n");
      left = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = fieldsOf(block);
        state.lastEventId = fields.get("id") ?? state.lastEventId;
        const data = fields.get("data");
        if (data !== undefined) yield { event: fields.get("event"), data: JSON.parse(data) } as T;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function fieldsOf(block: string): Map<string, string> {
  const lines = block.split("\n").filter((line) => !line.startsWith(":") && line.includes(": "));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
}

/** How long to wait before another try; undefined when there is to be none. */
function pause(error: unknown, tried: number, repeatable: boolean): number | undefined {
  const backoff = FIRST_WAIT_MS * 2 ** tried * (0.5 + Math.random() / 2);
  if (error instanceof NetworkError) return repeatable ? backoff : undefined;
  if (!(error instanceof ApiError)) return undefined;
  // 429 is told before anything is done, so that any call may be sent again.
  if (error.status !== 429 && !(error.status === 503 && repeatable)) return undefined;
  const asked = (error.retryAfterSeconds ?? 0) * 1000;
  return asked > LONGEST_WAIT_MS ? undefined : Math.max(asked, backoff);
}

async function errorOf(answer: Response): Promise<ApiError> {
  const envelope = isJson(answer) ? ((await answer.json().catch(() => null)) as ErrorEnvelope | null) : null;
  const waiting = Number(answer.headers.get("Retry-After") ?? NaN);
  return new ApiError(envelope?.error?.message ?? `The answer was ${answer.status}`, {
    code: envelope?.error?.code ?? "UNEXPECTED_ANSWER",
    status: answer.status,
    details: envelope?.error?.details ?? [],
    requestId: envelope?.meta?.requestId ?? answer.headers.get("X-Request-ID") ?? undefined,
    retryAfterSeconds: Number.isNaN(waiting) ? undefined : waiting,
  });
}

function isJson(answer: Response): boolean {
  return answer.headers.get("Content-Type")?.includes("json") ?? false;
}

function queryString(query: object | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null) parameters.append(name, String(each));
    }
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
