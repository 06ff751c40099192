import type { ErrorCode, ErrorDetail } from "./models.ts";

/** An answer that is an error. Match on `code`; `details` names each place that is wrong. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** `UNEXPECTED_ANSWER`: what came back is not of this contract (a proxy's page, say). */
  readonly code: ErrorCode | "UNEXPECTED_ANSWER";
  readonly status: number;
  readonly details: readonly ErrorDetail[];
  /** Finds the call in the server's logs. */
  readonly requestId: string | undefined;
  /** How long the server asks to wait. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    fields: Pick<ApiError, "code" | "status" | "details" | "requestId" | "retryAfterSeconds">,
  ) {
    super(message);
    this.code = fields.code;
    this.status = fields.status;
    this.details = fields.details;
    this.requestId = fields.requestId;
    this.retryAfterSeconds = fields.retryAfterSeconds;
  }
}

/** No answer came: the server is away, the connection broke, or it took too long. `cause` says which. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
}
