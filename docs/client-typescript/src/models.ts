// Made by `make client` from the OpenAPI document; changes here are lost.

/**
 * The token of an invitation. Who has no confirmed account yet also sends a password and a name; otherwise both
 * are left alone.
 */
export interface Acceptance {
  /** The token of the mail */
  token: string;
  /** At least 8 characters with upper, lower, digit and special; at most 72 bytes in UTF-8 */
  password?: string | null;
  fullName?: string | null;
}

/** Who acted, as the audit log tells it. */
export type ActorKind = "user" | "key" | "system";

/** What became of an address: its user is a member now, or has been sent an invitation. */
export interface AddedMember {
  status: Standing;
  email: string;
  role: TenantRole;
  /** The member; null where an invitation was sent */
  userId: string | null;
  fullName: string | null;
  version: number | null;
  /** The invitation; null for a member */
  invitationId: string | null;
  /** When the invitation is over */
  expiresAt: string | null;
  createdAt: string;
}

/** The address of an account. */
export interface AddressOnly {
  email: string;
}

/** What a duplicate is called. */
export interface AgentCopy {
  /** the source's with “(copy)” behind it when left out */
  name?: string | null;
}

/** A new agent; it starts as DRAFT, version 1. */
export interface AgentCreate {
  name: string;
  description?: string | null;
  type: AgentType;
  /** what the agent does, in the form of its type */
  config: Record<string, unknown>;
  /** JSON Schema 2020-12 of the inputs */
  inputSchema?: Record<string, unknown> | null;
  /** JSON Schema 2020-12 of the output */
  outputSchema?: Record<string, unknown> | null;
  tags?: string[];
  /** whether every member of the tenant reads and uses it */
  isPublic?: boolean;
  limits?: Limits;
  /** the project that it belongs to */
  projectId?: string | null;
}

/** What the agent would be given. */
export interface AgentEstimateBody {
  /** fills in the templates of the config, where it can */
  input?: Record<string, unknown>;
}

/** How an agent's newest runs went: up to 100 attempts of steps that completed, failed or ran out of time. */
export interface AgentHealth {
  /** how many attempts the figures are made of */
  runs: number;
  /** share that completed, from 0 to 1; null without a run */
  successRate: number | null;
  /** when the newest of them started */
  lastRunAt: string | null;
  meanDurationMs: number | null;
  /** failures since the newest success */
  consecutiveFailures: number;
}

/** The whole of an agent: what is left out falls back to its default. Status stays unless it is named. */
export interface AgentReplace {
  name: string;
  description?: string | null;
  type: AgentType;
  /** what the agent does, in the form of its type */
  config: Record<string, unknown>;
  /** JSON Schema 2020-12 of the inputs */
  inputSchema?: Record<string, unknown> | null;
  /** JSON Schema 2020-12 of the output */
  outputSchema?: Record<string, unknown> | null;
  tags?: string[];
  /** whether every member of the tenant reads and uses it */
  isPublic?: boolean;
  limits?: Limits;
  /** the project that it belongs to */
  projectId?: string | null;
  status?: ResourceStatus | null;
  version?: number | null;
}

/** The agent of a step. */
export interface AgentSummary {
  id: string;
  name: string;
  type: AgentType;
  status: ResourceStatus;
  version: number;
}

/** What an agent is tried out with. */
export interface AgentTest {
  /** checked against the agent's `inputSchema` */
  input?: Record<string, unknown>;
}

/**
 * How the test of an agent went; while `status` is PENDING or RUNNING the rest is not there yet.
 *
 * `output` is `{outputRef, bytes}` where it is too large for an answer. Of the log these are the first 500
 * lines.
 */
export interface AgentTestView {
  /** the test is an execution like any other: `GET /executions/{id}` */
  executionId: string;
  status: ExecutionStatus;
  output: unknown;
  error: Record<string, unknown> | null;
  logs: LogView[];
  usage: UsageView;
  /** where its code ran; `unsafe-local` is no sandbox at all */
  sandbox: string | null;
  durationMs: number | null;
}

/** The five kinds of agent. */
export type AgentType = "CODE" | "API" | "LLM" | "DATA" | "WORKFLOW";

/** Changes to an agent: what is left out stays. The defaults below are never stored. */
export interface AgentUpdate {
  name?: string;
  description?: string | null;
  /** cannot change; accepted when it is the same */
  type?: AgentType | null;
  config?: Record<string, unknown>;
  inputSchema?: Record<string, unknown> | null;
  outputSchema?: Record<string, unknown> | null;
  tags?: string[];
  isPublic?: boolean;
  limits?: Limits;
  projectId?: string | null;
  status?: ResourceStatus | null;
  version?: number | null;
}

/** One frozen version of an agent. */
export interface AgentVersionView {
  id: string;
  agentId: string;
  version: number;
  snapshot: Record<string, unknown>;
  createdBy: string | null;
  createdAt: string;
}

/** An agent as it stands; `runtimeState` and `health` are derived from its runs when it is read. */
export interface AgentView {
  name: string;
  description: string | null;
  type: AgentType;
  status: ResourceStatus;
  config: Record<string, unknown>;
  inputSchema: Record<string, unknown> | null;
  outputSchema: Record<string, unknown> | null;
  limits: Record<string, unknown>;
  tags: string[];
  isPublic: boolean;
  projectId?: string | null;
  id: string;
  userId: string | null;
  /** the agent that this one was duplicated from */
  parentId: string | null;
  version: number;
  runtimeState: RuntimeState;
  health: AgentHealth;
  createdAt: string;
  updatedAt: string;
}

/** A new key, which acts as its maker within `scopes`. */
export interface ApiKeyCreate {
  name: string;
  /** permissions such as `agents:read`; only ones that you have yourself */
  scopes: string[];
  /** when it stops working; never when left out */
  expiresAt?: string | null;
  /** calls a minute; what the platform allows each key is never exceeded */
  rateLimitPerMinute?: number | null;
}

/** A key without its secret. `lastUsedAt` and `usageCount` lag by some seconds. */
export interface ApiKeyView {
  userId: string;
  name: string;
  keyPrefix: string;
  scopes: string[] | null;
  projectId: string | null;
  expiresAt: string | null;
  rateLimitPerMinute: number | null;
  id: string;
  lastUsedAt: string | null;
  usageCount: number;
  createdAt: string;
}

/** `event: approval.requested`. */
export interface ApprovalRequestedEvent {
  event: "approval.requested";
  data: ApprovalRequestedNews;
}

/** A WAIT step asks for an answer. */
export interface ApprovalRequestedNews {
  executionId: string;
  /** number in the execution's one order of events and log lines; also the event's id */
  seq: number;
  timestamp: string;
  stepKey: string;
  path: string;
  kind: string;
  message: string | null;
  /** JSON Schema of the answer */
  schema: Record<string, unknown> | null;
  dueAt: string | null;
}

/** A file or dataset that a step has made. */
export interface ArtifactView {
  id: string;
  executionId: string;
  stepKey: string;
  path: string;
  attempt: number;
  name: string;
  mediaType: string;
  bytes: number;
  sha256: string;
  rows: number | null;
  /** column to type, of a table */
  schema: Record<string, unknown> | null;
  /** what `?format=` takes; none for what is no table */
  formats: Format[];
  downloadUrl: string;
  createdAt: string;
}

/** One thing that happened. */
export interface AuditEntry {
  id: string;
  createdAt: string;
  userId: string | null;
  actor: ActorKind;
  action: string;
  resourceType: string;
  resourceId: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  ipAddress: string | null;
  userAgent: string | null;
  requestId: string | null;
}

/** What all runs of a project may spend together in one period; cost is in USD. What is null has no bound. */
export interface Budget {
  maxCost?: number | null;
  maxTokens?: number | null;
  period?: BudgetPeriod;
}

/** Over which time a budget adds up, in UTC. */
export type BudgetPeriod = "DAY" | "MONTH" | "TOTAL";

/** What is called. OTHERS stands for all calls beyond those that a record lists one by one. */
export type CallKind = "MODEL" | "TOOL" | "OTHERS";

/** How a call stands. SKIPPED was not made, LOST is one whose process died before it was over. */
export type CallStatus = "RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "SKIPPED" | "LOST";

/**
 * One call of a model or a tool. What the calls of a step used adds up to the step's `usage`.
 *
 * OTHERS is all calls beyond the first hundred. A step that runs a workflow has none: they are in the nested
 * run.
 */
export interface CallView {
  number: number;
  kind: CallKind;
  /** SKIPPED: not made; LOST: its process died, the tokens are what it had read */
  status: CallStatus;
  /** whose call it is: the step's agent's, or that of one which it calls as a tool */
  agentId: string;
  /** 0 for the step's own agent, 1 for its tools, and so on */
  depth: number;
  startedAt: string | null;
  durationMs: number | null;
  provider: string | null;
  /** that was asked at that provider */
  model: string | null;
  promptTokens: number;
  completionTokens: number;
  /** of the prompt's, read from the provider's cache */
  cachedTokens: number;
  /** USD; null with the reason in `unpriced` */
  cost: number | null;
  /** why the cost is not known */
  unpriced: string | null;
  /** whether the provider has not said, believably, how many tokens it were */
  isEstimate: boolean;
  finishReason: string | null;
  /** by the name that the model used */
  tool: string | null;
  /** the agent behind it */
  toolAgentId: string | null;
  /** their first 300 characters */
  arguments: string | null;
  argumentBytes: number | null;
  /** what the models behind a tool used, whose calls are listed too */
  nested: NestedUsage | null;
  code: string | null;
  /** why it failed, or was not made */
  reason: string | null;
  /** how many this stands for: 1 but for OTHERS */
  calls: number;
}

/** Everything that is looked at. */
export interface Checks {
  database: DatabaseCheck;
  prefect: PrefectCheck;
  workers: WorkersCheck;
}

/** What a provider wants to be shown; replaced as a whole. */
export interface Credentials {
  apiKey?: string | null;
  /** sent beside the key */
  headers?: Record<string, unknown>;
}

/** PostgreSQL. */
export interface DatabaseCheck {
  status: "up" | "down";
  responseTimeMs: number | null;
  pool: Pool;
}

/** `target` waits for `source`; `kind` says where `source` names it. */
export interface EdgeView {
  source: string;
  target: string;
  kind: "dependency" | "then" | "else" | "case" | "default" | "fallback";
  /** for people: `then`, `case 0`; null of a plain dependency */
  label: string | null;
}

/** Where a workflow runs; decides its Prefect deployment and work pool. */
export type Environment = "DEVELOPMENT" | "STAGING" | "PRODUCTION";

/** What went wrong; clients match on `code`, never on the message. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  details: ErrorDetail[];
}

/** What went wrong, for programs; a status can have several. */
export type ErrorCode = "ACCOUNT_LOCKED" | "BUDGET_EXCEEDED" | "CONFLICT" | "FORBIDDEN" | "INTERNAL_ERROR" | "INVALID_CREDENTIALS" | "INVALID_STATE" | "METHOD_NOT_ALLOWED" | "NOT_FOUND" | "PAYLOAD_TOO_LARGE" | "RANGE_NOT_SATISFIABLE" | "RATE_LIMITED" | "REQUEST_TIMEOUT" | "SERVICE_UNAVAILABLE" | "TOKEN_EXPIRED" | "TOKEN_REUSED" | "UNAUTHENTICATED" | "UNSUPPORTED_MEDIA_TYPE" | "VALIDATION_ERROR" | "VERSION_CONFLICT";

/** One thing wrong: where, which rule, what to change. */
export interface ErrorDetail {
  path: string;
  code: string;
  message: string;
}

/** What a run asks of models, as far as that can be known before. Answers of other steps are not known yet. */
export interface EstimateView {
  steps: StepEstimateView[];
  /** of all steps together, each as often as it runs at least */
  leastTokens: number;
  /** likewise, at most */
  mostTokens: number;
  /** USD, likewise; null when one of them is not known */
  leastCost: number | null;
  mostCost: number | null;
  /** of all steps: what is not known before the run, and what holds instead */
  bounds: string[];
  /** when the shipped catalogue was true; own prices are as old as they are */
  pricesAsOf: string;
}

/** How many waiting steps took the event. */
export interface EventDelivered {
  delivered: number;
}

/** Something that has happened. */
export interface EventDelivery {
  /** what WAIT steps name as `eventType` */
  type: string;
  data?: unknown;
}

/** A run whose end was asked for. One that is RUNNING still is CANCELLED within 5 seconds. */
export interface ExecutionCancelled {
  executionId: string;
  status: ExecutionStatus;
  cancelRequestedAt: string;
}

/** In which order a definition would run. */
export interface ExecutionPlan {
  steps: string[];
  stages: string[][];
  /** stages of what is inside each LOOP and branch, by its path */
  nested: Record<string, string[][]>;
}

/** An answer to a WAIT step: `approved` to an approval, `data` to an input. */
export interface ExecutionResume {
  /** a bare key where only one step has it */
  path: string;
  approved?: boolean | null;
  /** checked against the form's schema; its defaults are applied */
  data?: unknown;
  comment?: string | null;
}

/** The wait that was answered. */
export interface ExecutionResumed {
  executionId: string;
  path: string;
  kind: WaitKind;
  answeredAt: string;
}

/** The new execution. `reusedSteps` are the records that it took over; `GET …/steps` shows them. */
export interface ExecutionRetried {
  executionId: string;
  status: ExecutionStatus;
  workflowId: string;
  workflowVersion: number;
  triggerType: TriggerType;
  environment: Environment;
  priority: string;
  tags: string[];
  runAt: string | null;
  createdAt: string;
  retryOf: string;
  reusedSteps: number;
}

/** How a run is to go on. Steps that have finished keep their results; without anything only the rest runs. */
export interface ExecutionRetry {
  /** a path, or a bare key where only one step has it */
  fromStep?: string | null;
  /** other inputs: every step runs again, or those from `fromStep` on */
  inputs?: Record<string, unknown> | null;
  /** another version of the workflow; the one that ran when left out */
  workflowVersion?: number | "latest" | null;
}

/** An execution in a list. `queueMs` is from when it could start to when it did. */
export interface ExecutionRow {
  id: string;
  workflowId: string | null;
  workflow: WorkflowSummary | null;
  workflowVersion: number | null;
  agentId: string | null;
  userId: string | null;
  retryOf: string | null;
  parentExecutionId: string | null;
  status: ExecutionStatus;
  triggerType: TriggerType;
  environment: Environment;
  priority: string;
  tags: string[];
  error: Record<string, unknown> | null;
  stepsTotal: number;
  stepsCompleted: number;
  stepsFailed: number;
  stepsSkipped: number;
  queuedAt: string;
  startedAt: string | null;
  completedAt: string | null;
  queueMs: number | null;
  durationMs: number | null;
  usage: UsageView;
  requestId: string | null;
  prefectFlowRunId: string | null;
  prefectUrl: string | null;
  createdAt: string;
  updatedAt: string;
}

/** How a workflow is to be run. */
export interface ExecutionStart {
  /** checked against `inputSchema`; defaults are applied */
  inputs?: Record<string, unknown>;
  environment?: Environment;
  priority?: "high" | "default" | "low";
  tags?: string[];
  /** not before this time; at once when left out */
  runAt?: string | null;
}

/** An execution that has been accepted. */
export interface ExecutionStarted {
  executionId: string;
  status: ExecutionStatus;
  workflowId: string;
  workflowVersion: number;
  triggerType: TriggerType;
  environment: Environment;
  priority: string;
  tags: string[];
  runAt: string | null;
  createdAt: string;
}

/** Where an execution stands. */
export type ExecutionStatus = "PENDING" | "RUNNING" | "PAUSED" | "COMPLETED" | "FAILED" | "CANCELLED" | "TIMEOUT";

/** `event: execution.status`. */
export interface ExecutionStatusEvent {
  event: "execution.status";
  data: ExecutionStatusNews;
}

/** Where the run stands now. After a final status the stream ends. */
export interface ExecutionStatusNews {
  executionId: string;
  /** number in the execution's one order of events and log lines; also the event's id */
  seq: number;
  timestamp: string;
  status: ExecutionStatus;
  error?: Record<string, unknown> | null;
}

/** An execution with what went in and what came out, and what it waits for. */
export interface ExecutionView {
  id: string;
  workflowId: string | null;
  workflow: WorkflowSummary | null;
  workflowVersion: number | null;
  agentId: string | null;
  userId: string | null;
  retryOf: string | null;
  parentExecutionId: string | null;
  status: ExecutionStatus;
  triggerType: TriggerType;
  environment: Environment;
  priority: string;
  tags: string[];
  error: Record<string, unknown> | null;
  stepsTotal: number;
  stepsCompleted: number;
  stepsFailed: number;
  stepsSkipped: number;
  queuedAt: string;
  startedAt: string | null;
  completedAt: string | null;
  queueMs: number | null;
  durationMs: number | null;
  usage: UsageView;
  requestId: string | null;
  prefectFlowRunId: string | null;
  prefectUrl: string | null;
  createdAt: string;
  updatedAt: string;
  inputs: Record<string, unknown>;
  outputs: unknown;
  waits: WaitView[];
}

/** What the call has started and what it could not. `left` runs fit the filters beyond the 100 of one call. */
export interface ExecutionsRetried {
  started: ExecutionRetried[];
  refused: RefusedRetry[];
  left: number;
}

/** What a table can be downloaded as. */
export type Format = "csv" | "parquet" | "json" | "arrow";

/** Nodes and edges for a canvas, a text diagram, a picture. */
export type GraphFormat = "json" | "mermaid" | "svg";

/** A workflow as a canvas wants it. */
export interface GraphView {
  nodes: NodeView[];
  edges: EdgeView[];
}

/** `healthy` when nothing is down. */
export interface Health {
  status: "healthy" | "unhealthy";
  version: string;
  uptimeSeconds: number;
  timestamp: string;
  checks: Checks;
}

/** What is to be made of a template. */
export interface Instantiation {
  /** of the new agent or workflow; the template's when left out */
  name?: string | null;
  /** values of the template's `parameters`; defaults are applied */
  customizations?: Record<string, unknown>;
}

/** An invitation that was neither accepted nor taken back; its token is only in the mail. */
export interface InvitationView {
  id: string;
  email: string;
  role: TenantRole;
  invitedBy: string | null;
  expiresAt: string;
  createdAt: string;
}

/** A key with its secret, which is shown in this answer and never again. */
export interface IssuedApiKey {
  userId: string;
  name: string;
  keyPrefix: string;
  scopes: string[] | null;
  projectId: string | null;
  expiresAt: string | null;
  rateLimitPerMinute: number | null;
  id: string;
  lastUsedAt: string | null;
  usageCount: number;
  createdAt: string;
  key: string;
}

/** Bounds of one run; where agent, workflow and project each set one, the tightest wins. Cost is in USD. */
export interface Limits {
  maxTokens?: number | null;
  maxCost?: number | null;
  timeoutSeconds?: number | null;
}

/** A new provider. OPENAI and ANTHROPIC know their own address; OPENAI_COMPATIBLE needs one, FAKE takes none. */
export interface LlmProviderCreate {
  name: string;
  kind: ProviderKind;
  baseUrl?: string | null;
  credentials?: Credentials | null;
  /** empty: it is asked for whatever model an agent names */
  models?: ModelFields[];
  /** what a FAKE provider answers */
  script?: Record<string, unknown>;
  /** lower ones are asked first */
  priority?: number;
  /** whether runs may ask it */
  isActive?: boolean;
}

/** Changes to a provider: what is left out stays. The defaults below are never stored. */
export interface LlmProviderUpdate {
  name?: string;
  /** cannot change; accepted when it is the same */
  kind?: ProviderKind | null;
  /** another address needs its credentials in the same body */
  baseUrl?: string | null;
  /** replaces them; null takes them away, the mask leaves them */
  credentials?: Credentials | "********" | null;
  models?: ModelFields[];
  script?: Record<string, unknown>;
  /** lower ones are asked first */
  priority?: number;
  isActive?: boolean;
  version?: number | null;
}

/** A provider as it stands. */
export interface LlmProviderView {
  id: string;
  name: string;
  kind: ProviderKind;
  baseUrl: string | null;
  /** the mask where there are any */
  credentials: "********" | null;
  models: ModelView[];
  /** what calls are counted with, own prices and the catalogue's */
  prices: PriceView[];
  script: Record<string, unknown>;
  priority: number;
  isActive: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** `event: log`. */
export interface LogEvent {
  event: "log";
  data: LogNews;
}

/** Weight of a line in an execution's log. */
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";

/** A line of the log. */
export interface LogNews {
  executionId: string;
  /** number in the execution's one order of events and log lines; also the event's id */
  seq: number;
  timestamp: string;
  id: string;
  level: LogLevel;
  message: string;
  stepKey: string | null;
  stepRunId: string | null;
  metadata: Record<string, unknown>;
}

/** A log line; `seq` orders lines and events of one execution. */
export interface LogView {
  id: string;
  seq: number;
  level: LogLevel;
  message: string;
  stepKey: string | null;
  stepRunId: string | null;
  metadata: Record<string, unknown>;
  timestamp: string;
}

/** Address and password. */
export interface Login {
  email: string;
  password: string;
}

/** Somebody who shall belong to the tenant. */
export interface MemberAdd {
  email: string;
  role: TenantRole;
}

/** The role that a member shall have; a `version` makes the change conditional on it. */
export interface MemberPatch {
  role: TenantRole;
  version?: number | null;
}

/** A user inside one tenant. `version` counts the changes of the membership. */
export interface MemberView {
  userId: string;
  email: string;
  fullName: string;
  avatarUrl: string | null;
  /** False where the platform's administrator has deactivated the user */
  isActive: boolean;
  role: TenantRole;
  version: number;
  /** When they joined */
  createdAt: string;
  updatedAt: string;
}

/** When and under which request id the answer was made. */
export interface Meta {
  timestamp: string;
  requestId: string;
}

/** A model that a provider offers. Without a price that of the shipped catalogue holds, where it knows one. */
export interface ModelFields {
  name: string;
  price?: PriceFields | null;
  /** models that agents name and that this one answers for here; `*`: whichever is not offered */
  aliases?: string[];
}

/** A model with the tenant's own price, and the models that it answers for beside its own name. */
export interface ModelView {
  name: string;
  price?: PriceFields | null;
  aliases?: string[];
}

/** Tokens and USD of what a tool runs. */
export interface NestedUsage {
  promptTokens: number;
  completionTokens: number;
  totalCost: number | null;
}

/** A step; `status` is that of the execution that was asked for. */
export interface NodeView {
  /** the step's key */
  id: string;
  type: StepType;
  name: string;
  position: PositionView;
  status: StepStatus | null;
  /** how many steps are inside a LOOP or PARALLEL, at whatever depth */
  nested: number;
}

/** What a failed step means for the run. */
export type OnError = "FAIL" | "CONTINUE" | "RETRY";

/** The same, with the page's place. */
export interface PageMeta {
  timestamp: string;
  requestId: string;
  pagination: Pagination;
}

/** Where a page lies in its list; `page` counts from 1. */
export interface Pagination {
  page: number;
  pageSize: number;
  totalItems: number;
  totalPages: number;
}

/** The password as it is, and as it shall be. */
export interface PasswordChange {
  currentPassword: string;
  /** At least 8 characters with upper, lower, digit and special; at most 72 bytes */
  newPassword: string;
}

/** What came by mail, and the password as it shall be. */
export interface PasswordReset {
  /** The token of the mail */
  token: string;
  /** At least 8 characters with upper, lower, digit and special; at most 72 bytes in UTF-8 */
  newPassword: string;
}

/** Role of a user on the whole platform. */
export type PlatformRole = "ADMIN" | "USER" | "AGENT";

/** Connections of this process to PostgreSQL. */
export interface Pool {
  size: number;
  inUse: number;
  overflow: number;
}

/** Where a node's upper left corner lies, in pixels; nodes are 200 wide and 56 high. */
export interface PositionView {
  x: number;
  y: number;
}

/** The Prefect API. */
export interface PrefectCheck {
  status: "up" | "down";
  responseTimeMs: number | null;
}

/** What a model costs, in USD per million tokens. */
export interface PriceFields {
  /** USD per million tokens */
  prompt: number;
  /** USD per million tokens */
  completion: number;
  /** of prompt tokens from the provider's cache; null: as others */
  cached?: number | null;
}

/** Who says what a model costs: the tenant, the catalogue that is shipped with the platform, or nobody has to. */
export type PriceSource = "OWN" | "CATALOGUE" | "FAKE";

/** What a model costs as its calls are counted now. Where nobody knows, all of it is null and so is their cost. */
export interface PriceView {
  model: string;
  prompt: number | null;
  completion: number | null;
  cached: number | null;
  source: PriceSource | null;
  /** the day on which the catalogue's price was true */
  asOf: string | null;
}

/** One thing wrong: where, which rule, what to change. */
export interface ProblemView {
  path: string;
  code: string;
  message: string;
}

/** What one may change of oneself; a `version` makes the change conditional on it. */
export interface ProfilePatch {
  fullName?: string | null;
  avatarUrl?: string | null;
  preferences?: Record<string, unknown> | null;
  version?: number | null;
}

/** `event: progress`. */
export interface ProgressEvent {
  event: "progress";
  data: ProgressNews;
}

/** How far a loop is; `total` is null where that is not known. */
export interface ProgressNews {
  executionId: string;
  /** number in the execution's one order of events and log lines; also the event's id */
  seq: number;
  timestamp: string;
  path: string;
  done: number;
  total: number | null;
}

/** A new project, and where wanted its first agent. */
export interface ProjectCreate {
  name: string;
  description?: string | null;
  /** bounds of each run; the tightest of all wins */
  limits?: Limits;
  /** bound of all runs together; null means none */
  budget?: Budget | null;
  /** kept as it is, for the client's own use */
  settings?: Record<string, unknown>;
  /** an agent to make inside the project */
  agent?: AgentCreate | null;
}

/** A new project with its key, which is shown in this answer and never again. */
export interface ProjectCreated {
  project: ProjectView;
  agent: AgentView | null;
  apiKey: string;
}

/** Changes to a project: what is left out stays. The defaults below are never stored. */
export interface ProjectUpdate {
  name?: string;
  description?: string | null;
  limits?: Limits;
  budget?: Budget | null;
  settings?: Record<string, unknown>;
  version?: number | null;
}

/** What a project's runs have used of models in the period that runs now, and how much of its budget that is. */
export interface ProjectUsageView {
  projectId: string;
  period: BudgetPeriod;
  /** when the period began; null for TOTAL */
  since: string | null;
  promptTokens: number;
  completionTokens: number;
  /** USD; null when the price of some tokens is not known */
  totalCost: number | null;
  /** USD, of the tokens whose price is known */
  knownCost: number;
  /** tokens whose price is not known */
  unpricedTokens: number;
  /** set aside for calls that runs are making now; not among those used */
  reservedTokens: number;
  reservedCost: number;
  /** what the percentages are of; null when the project has none */
  budget: Budget | null;
  /** null unless the figures are of the budget's own period */
  percentOfTokenLimit: number | null;
  percentOfCostLimit: number | null;
  /** which limit is used up: new runs are refused */
  exceeded: "tokens" | "cost" | null;
}

/** A project as it stands. */
export interface ProjectView {
  name: string;
  description: string | null;
  limits: Record<string, unknown>;
  budget: Record<string, unknown> | null;
  settings: Record<string, unknown>;
  id: string;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** Which protocol a provider speaks. FAKE speaks none: its answers are scripted and nothing leaves the process. */
export type ProviderKind = "OPENAI" | "ANTHROPIC" | "OPENAI_COMPATIBLE" | "FAKE";

/** What a provider is asked. */
export interface ProviderTest {
  /** the first that the provider is known to have when left out */
  model?: string | null;
}

/** How the test of a provider went; while `status` is PENDING or RUNNING the rest is not there yet. */
export interface ProviderTestView {
  executionId: string;
  status: ExecutionStatus;
  /** whether it answered; null until the test is over */
  ok: boolean | null;
  /** from the question to the whole answer */
  latencyMs: number | null;
  /** which was asked */
  model: string | null;
  /** which the provider says that it has; null when it has no such list */
  models: string[] | null;
  answer: string | null;
  /** USD; null when the model's price is not known */
  totalCost: number | null;
  /** `code`, `message` and `hint`, which says what to change */
  error: Record<string, unknown> | null;
}

/** From the fewest to the most that is to be expected. */
export interface RangeView {
  least: number;
  most: number;
}

/** Whether requests should be sent here. */
export interface Readiness {
  status: "ready" | "unavailable";
}

/** The newest refresh token of the session. */
export interface Refresh {
  refreshToken: string;
}

/** The tokens that follow. */
export interface RefreshedView {
  tokens: TokensView;
}

/** A run that was not retried: the code and message that a retry of it alone is refused with. */
export interface RefusedRetry {
  executionId: string;
  code: string;
  message: string;
}

/** A new person and their tenant. */
export interface Registration {
  email: string;
  /** At least 8 characters with upper, lower, digit and special; at most 72 bytes in UTF-8 */
  password: string;
  fullName: string;
  tenantName?: string | null;
}

/** Life of an agent or a workflow. */
export type ResourceStatus = "DRAFT" | "ACTIVE" | "INACTIVE" | "ARCHIVED";

/** Waits `delaySeconds * backoff**n` between attempts, at most `maxDelaySeconds`, give or take `jitter`'s share. */
export interface RetryPolicy {
  maxAttempts?: number;
  delaySeconds?: number;
  backoff?: number;
  maxDelaySeconds?: number;
  jitter?: number;
  retryOn?: string[];
}

/** What an agent is doing: a step of it runs, a run of it waits, it may not run (not ACTIVE), or none of these. */
export type RuntimeState = "running" | "paused" | "stopped" | "idle";

/** When a workflow starts by itself: either a cron line or an interval. */
export interface Schedule {
  cron?: string | null;
  intervalSeconds?: number | null;
  timezone?: string;
  enabled?: boolean;
}

/** When a workflow starts by itself. */
export interface ScheduleView {
  cron: string | null;
  intervalSeconds: number | null;
  timezone: string;
  enabled: boolean;
}

/** The value to keep, exactly as it is sent. */
export interface SecretValue {
  /** never shown again */
  value: string;
}

/** A secret without its value. */
export interface SecretView {
  name: string;
  projectId: string | null;
  createdAt: string;
  updatedAt: string;
}

/** One login that is still good. Its `id` stays the same when its tokens are refreshed. */
export interface SessionView {
  id: string;
  /** Tenant that its tokens are for */
  tenantId: string;
  /** Where it was last refreshed from */
  ipAddress: string | null;
  /** What it was last refreshed with */
  userAgent: string | null;
  /** When it was opened */
  createdAt: string;
  /** When it was last refreshed */
  lastUsedAt: string;
  /** When it ends unless it is refreshed */
  expiresAt: string;
  /** Whether this call was made with it */
  current: boolean;
}

/** Who is logged in, where, and with what. */
export interface SignedInView {
  user: UserView;
  tenant: TenantView;
  tokens: TokensView;
}

/** Smallest or largest first. */
export type SortOrder = "asc" | "desc";

/** Whether somebody belongs to the tenant already. */
export type Standing = "MEMBER" | "INVITED";

/**
 * What one step asks of a model each time that it runs, and how often it does.
 *
 * Where no provider can be asked, `problem` says why and the figures are null.
 */
export interface StepEstimateView {
  /** of the step; inside nested workflows behind the path of the step that runs them */
  path: string;
  agentId: string;
  /** the one that is asked first */
  provider: string | null;
  /** that is asked there; the one that the agent names, or another by its alias */
  model: string | null;
  promptTokens: RangeView | null;
  completionTokens: RangeView | null;
  /** USD of one run; null when the model's price is not known */
  leastCost: number | null;
  mostCost: number | null;
  /** inside a LOOP */
  isRepeated: boolean;
  /** how often it runs: items of loops, attempts; 0 where it may be left out */
  runs: RangeView;
  /** what makes the upper end a bound rather than a number */
  bounds: string[];
  problem: string | null;
}

/** Which step's table is to be seen. */
export interface StepPreview {
  /** the step's path; that of its newest attempt is shown */
  path: string;
}

/** The first rows of a step's table; while `status` is PENDING or RUNNING they are not there yet. */
export interface StepPreviewView {
  path: string;
  /** the run that computes them; null where the record has them */
  executionId: string | null;
  status: ExecutionStatus;
  /** column to type */
  schema: Record<string, unknown> | null;
  /** at most 20 rows, long cells cut */
  preview: (Record<string, unknown>)[] | null;
  error: Record<string, unknown> | null;
}

/** One attempt of a step. A large output is not inline: `outputRef` says where it is, `preview` what it is like. */
export interface StepRunView {
  id: string;
  stepKey: string;
  path: string;
  attempt: number;
  status: StepStatus;
  input: unknown;
  output: unknown;
  outputRef: string | null;
  /** the step run of an earlier execution whose result it is */
  reusedFrom: string | null;
  preview: unknown;
  error: Record<string, unknown> | null;
  usage: StepUsage;
  /** of models and tools, in the order in which they began */
  calls: CallView[];
  startedAt: string | null;
  completedAt: string | null;
  durationMs: number | null;
}

/** One step of a definition. */
export interface StepSpec {
  stepKey: string;
  name?: string | null;
  type?: StepType;
  agentId?: string | null;
  inputs?: Record<string, unknown>;
  config?: Record<string, unknown>;
  dependsOn?: string[];
  onError?: OnError;
  retry?: RetryPolicy | null;
  afterRetries?: "FAIL" | "CONTINUE";
  fallback?: string | null;
  default?: unknown;
  timeoutSeconds?: number | null;
  materialize?: boolean;
}

/** Where one attempt of a step stands. */
export type StepStatus = "PENDING" | "RUNNING" | "PAUSED" | "COMPLETED" | "FAILED" | "SKIPPED" | "CANCELLED" | "TIMEOUT";

/** `event: step.status`. */
export interface StepStatusEvent {
  event: "step.status";
  data: StepStatusNews;
}

/** Where an attempt of a step stands now. */
export interface StepStatusNews {
  executionId: string;
  /** number in the execution's one order of events and log lines; also the event's id */
  seq: number;
  timestamp: string;
  stepKey: string;
  path: string;
  attempt: number;
  status: StepStatus;
  error?: Record<string, unknown> | null;
  durationMs?: number | null;
}

/** The kinds of step. */
export type StepType = "AGENT" | "CONDITION" | "LOOP" | "PARALLEL" | "WAIT";

/** Tokens and USD of one attempt, and the sandbox in which code ran for it; `unsafe-local` is none at all. */
export interface StepUsage {
  promptTokens: number;
  completionTokens: number;
  totalCost: number | null;
  sandbox: string | null;
}

/** A step as it was written, with its agent. */
export interface StepView {
  stepKey: string;
  name?: string | null;
  type?: StepType;
  agentId?: string | null;
  inputs?: Record<string, unknown>;
  config?: Record<string, unknown>;
  dependsOn?: string[];
  onError?: OnError;
  retry?: RetryPolicy | null;
  afterRetries?: "FAIL" | "CONTINUE";
  fallback?: string | null;
  default?: unknown;
  timeoutSeconds?: number | null;
  materialize?: boolean;
  agent: AgentSummary | null;
}

/** One event of the stream: its `event:` line, and its `data:` line as JSON. */
export type StreamEvent = ExecutionStatusEvent | StepStatusEvent | LogEvent | TokenEvent | ProgressEvent | ApprovalRequestedEvent;

/** A token for `?token=` of one execution's stream. A stream that is open when it ends goes on. */
export interface StreamTokenView {
  token: string;
  expiresAt: string;
}

/** A new template. */
export interface TemplateCreate {
  name: string;
  description?: string | null;
  /** one word, such as `data` or `api` */
  category: string;
  type: TemplateType;
  /**
   * what is made. AGENT: an agent's `type`, `config` and the rest of `POST /agents`. WORKFLOW: `agents`, by keys
   * of the template's own, and `workflow`, whose steps name those keys as `agentId`. STEP: `agents` and one
   * `step`. `{{ parameters.name }}` stands for a value that whoever uses the template gives
   */
  definition: Record<string, unknown>;
  /** JSON Schema of those values, an object; `default` and `examples` let the template be checked in full */
  parameters?: Record<string, unknown> | null;
  tags?: string[];
  /** whether everybody sees and uses it, other tenants too */
  isPublic?: boolean;
  /** set by the platform's ADMIN alone */
  isOfficial?: boolean;
}

/** A template with what it makes. */
export interface TemplateDetail {
  id: string;
  name: string;
  description: string | null;
  category: string;
  type: TemplateType;
  /** JSON Schema of what `customizations` may hold */
  parameters: Record<string, unknown> | null;
  tags: string[];
  isOfficial: boolean;
  isPublic: boolean;
  /** how often something was made of it */
  usageCount: number;
  rating: number | null;
  version: number;
  createdAt: string;
  updatedAt: string;
  definition: Record<string, unknown>;
}

/** What a template makes. */
export type TemplateType = "AGENT" | "WORKFLOW" | "STEP";

/** Changes to a template: what is left out stays. The defaults below are never stored. */
export interface TemplateUpdate {
  name?: string;
  description?: string | null;
  category?: string;
  /** cannot change; accepted when it is the same */
  type?: TemplateType | null;
  /**
   * what is made. AGENT: an agent's `type`, `config` and the rest of `POST /agents`. WORKFLOW: `agents`, by keys
   * of the template's own, and `workflow`, whose steps name those keys as `agentId`. STEP: `agents` and one
   * `step`. `{{ parameters.name }}` stands for a value that whoever uses the template gives
   */
  definition?: Record<string, unknown>;
  /** JSON Schema of those values, an object; `default` and `examples` let the template be checked in full */
  parameters?: Record<string, unknown> | null;
  tags?: string[];
  isPublic?: boolean;
  /** set by the platform's ADMIN alone */
  isOfficial?: boolean;
  version?: number | null;
}

/** A template in a list. */
export interface TemplateView {
  id: string;
  name: string;
  description: string | null;
  category: string;
  type: TemplateType;
  /** JSON Schema of what `customizations` may hold */
  parameters: Record<string, unknown> | null;
  tags: string[];
  isOfficial: boolean;
  isPublic: boolean;
  /** how often something was made of it */
  usageCount: number;
  rating: number | null;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** Where to go. */
export interface TenantChoice {
  tenantId: string;
}

/** A tenant that the caller may switch to, and their role in it. */
export interface TenantMembership {
  id: string;
  slug: string;
  name: string;
  role: TenantRole;
}

/** What may change; a `version` makes the change conditional on it. */
export interface TenantPatch {
  name?: string | null;
  settings?: Record<string, unknown> | null;
  version?: number | null;
}

/** Role of a member inside one tenant. */
export type TenantRole = "OWNER" | "ADMIN" | "EDITOR" | "VIEWER";

/** One tenant. */
export interface TenantView {
  id: string;
  slug: string;
  name: string;
  settings: Record<string, unknown>;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** `event: token`. */
export interface TokenEvent {
  event: "token";
  data: TokenNews;
}

/** A piece of a model's answer. Told live only: the whole is the step's output. */
export interface TokenNews {
  executionId: string;
  stepKey: string;
  path: string;
  text: string;
}

/** What came by mail. */
export interface TokenOnly {
  /** The token of the mail */
  token: string;
}

/** Send `accessToken` as `Authorization: Bearer …`; keep `refreshToken` for `/auth/refresh`. */
export interface TokensView {
  tokenType: "Bearer";
  accessToken: string;
  accessTokenExpiresAt: string;
  refreshToken: string;
  refreshTokenExpiresAt: string;
}

/** What started an execution. */
export type TriggerType = "MANUAL" | "SCHEDULED" | "API" | "WEBHOOK" | "EVENT";

/** Tokens and USD. `totalCost` is null when a model's price is unknown; percents are null without a limit. */
export interface UsageView {
  promptTokens: number;
  completionTokens: number;
  totalCost: number | null;
  percentOfTokenLimit: number | null;
  percentOfCostLimit: number | null;
  exceeded: "tokens" | "cost" | null;
}

/** What the platform's ADMIN may change of a user; a `version` makes the change conditional on it. */
export interface UserPatch {
  fullName?: string | null;
  role?: PlatformRole | null;
  /** False ends every session and refuses logins and keys */
  isActive?: boolean | null;
  version?: number | null;
}

/** A user as they see themselves. */
export interface UserView {
  id: string;
  email: string;
  fullName: string;
  avatarUrl: string | null;
  role: PlatformRole;
  isActive: boolean;
  emailVerifiedAt: string | null;
  lastLoginAt: string | null;
  preferences: Record<string, unknown>;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** What is wrong with a definition, and what it would run when nothing is. */
export interface ValidationView {
  valid: boolean;
  problems: ProblemView[];
  executionPlan: ExecutionPlan | null;
}

/** What a WAIT step waits for. */
export type WaitKind = "duration" | "until" | "approval" | "input" | "event";

/**
 * What an execution, or a run nested in it, waits for.
 *
 * An `approval` or an `input` is answered with `path` at `POST /executions/{executionId}/resume`. The outer
 * execution
 * takes the answer too: `path`, or where several end so the path of the nested run's step, a dot, and `path`.
 */
export interface WaitView {
  /** the execution that waits: this one, or one nested in it */
  executionId: string;
  path: string;
  kind: WaitKind;
  message: string | null;
  /** JSON Schema of the data that an `input` wants */
  schema: Record<string, unknown> | null;
  /** ids of users and roles that may answer; empty: who may run workflows */
  assignees: string[];
  dueAt: string | null;
  requestedAt: string;
}

/**
 * Workers with a recent heartbeat; None when Prefect, which counts them, cannot be asked.
 *
 * `codeSandboxes` is how many have which sandbox for CODE agents; those of `none` refuse them.
 */
export interface WorkersCheck {
  status: "up" | "down";
  online: number | null;
  codeSandboxes: Record<string, number> | null;
}

/** Any part of a workflow, as the document shows it; what is left out stays. */
export interface WorkflowChange {
  name?: string;
  description?: string | null;
  tags?: string[];
  isPublic?: boolean;
  projectId?: string | null;
  schedule?: Schedule | null;
  status?: ResourceStatus | null;
  version?: number | null;
  /** JSON Schema 2020-12; defaults are applied */
  inputSchema?: Record<string, unknown> | null;
  limits?: WorkflowLimits;
  steps?: StepSpec[];
  /** template over the steps' outputs; by default those of the last steps */
  output?: unknown;
}

/** What a duplicate is called. */
export interface WorkflowCopy {
  /** the source's with “(copy)” behind it when left out */
  name?: string | null;
}

/** A workflow with its steps. */
export interface WorkflowDetail {
  id: string;
  userId: string;
  projectId: string | null;
  /** the workflow that this one was duplicated from */
  parentId: string | null;
  name: string;
  slug: string;
  description: string | null;
  status: ResourceStatus;
  tags: string[];
  isPublic: boolean;
  inputSchema: Record<string, unknown> | null;
  output: unknown;
  limits: Record<string, unknown>;
  schedule: ScheduleView | null;
  version: number;
  createdAt: string;
  updatedAt: string;
  steps: StepView[];
}

/** A whole workflow, as the document shows it. */
export interface WorkflowDocument {
  /** JSON Schema 2020-12; defaults are applied */
  inputSchema?: Record<string, unknown> | null;
  limits?: WorkflowLimits;
  steps?: StepSpec[];
  /** template over the steps' outputs; by default those of the last steps */
  output?: unknown;
  name: string;
  description?: string | null;
  tags?: string[];
  isPublic?: boolean;
  /** the project that it belongs to */
  projectId?: string | null;
  schedule?: Schedule | null;
  /** DRAFT or ACTIVE at first */
  status?: ResourceStatus | null;
  version?: number | null;
}

/** What a run of the workflow would be given. */
export interface WorkflowEstimateBody {
  /** tells how many items loops have, where it can */
  inputs?: Record<string, unknown>;
}

/** Limits of a run, and how many of its steps may run at once. */
export interface WorkflowLimits {
  maxTokens?: number | null;
  maxCost?: number | null;
  timeoutSeconds?: number | null;
  maxConcurrency?: number | null;
}

/** The workflow of an execution; its name as it is now. */
export interface WorkflowSummary {
  id: string;
  name: string;
  slug: string;
}

/** One frozen version of a workflow. */
export interface WorkflowVersionView {
  id: string;
  workflowId: string;
  version: number;
  definition: Record<string, unknown>;
  createdBy: string | null;
  createdAt: string;
}

/** A workflow without its steps. */
export interface WorkflowView {
  id: string;
  userId: string;
  projectId: string | null;
  /** the workflow that this one was duplicated from */
  parentId: string | null;
  name: string;
  slug: string;
  description: string | null;
  status: ResourceStatus;
  tags: string[];
  isPublic: boolean;
  inputSchema: Record<string, unknown> | null;
  output: unknown;
  limits: Record<string, unknown>;
  schedule: ScheduleView | null;
  version: number;
  createdAt: string;
  updatedAt: string;
}
