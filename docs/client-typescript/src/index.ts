export { Turbocat } from "./api.ts";
export { ApiError, NetworkError } from "./errors.ts";
export type { CallOptions, ClientOptions, Page } from "./transport.ts";
export type * from "./api.ts";
export type * from "./models.ts";
