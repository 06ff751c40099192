import type { ErrorBody, Pagination } from "./models.ts";

export type { Pagination } from "./models.ts";

/** When and under which request id an answer was made; `pagination` is there for lists. */
export interface Meta {
  timestamp: string;
  requestId: string;
  pagination?: Pagination;
}

export interface ErrorEnvelope {
  success: false;
  error?: ErrorBody;
  meta?: Meta;
}
