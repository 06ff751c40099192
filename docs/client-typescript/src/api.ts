// Made by `make client` from the OpenAPI document; changes here are lost.

import { type CallOptions, type Page, Transport, segment } from "./transport.ts";
import type {
  Acceptance,
  AddedMember,
  AddressOnly,
  AgentCopy,
  AgentCreate,
  AgentEstimateBody,
  AgentReplace,
  AgentTest,
  AgentTestView,
  AgentType,
  AgentUpdate,
  AgentVersionView,
  AgentView,
  ApiKeyCreate,
  ApiKeyView,
  ArtifactView,
  AuditEntry,
  BudgetPeriod,
  EstimateView,
  EventDelivered,
  EventDelivery,
  ExecutionCancelled,
  ExecutionResume,
  ExecutionResumed,
  ExecutionRetried,
  ExecutionRetry,
  ExecutionRow,
  ExecutionStart,
  ExecutionStarted,
  ExecutionStatus,
  ExecutionView,
  ExecutionsRetried,
  Format,
  GraphFormat,
  GraphView,
  Health,
  Instantiation,
  InvitationView,
  IssuedApiKey,
  LlmProviderCreate,
  LlmProviderUpdate,
  LlmProviderView,
  LogLevel,
  LogView,
  Login,
  MemberAdd,
  MemberPatch,
  MemberView,
  PasswordChange,
  PasswordReset,
  PlatformRole,
  ProfilePatch,
  ProjectCreate,
  ProjectCreated,
  ProjectUpdate,
  ProjectUsageView,
  ProjectView,
  ProviderKind,
  ProviderTest,
  ProviderTestView,
  Readiness,
  Refresh,
  RefreshedView,
  Registration,
  ResourceStatus,
  SecretValue,
  SecretView,
  SessionView,
  SignedInView,
  SortOrder,
  StepPreview,
  StepPreviewView,
  StepRunView,
  StreamEvent,
  StreamTokenView,
  TemplateCreate,
  TemplateDetail,
  TemplateType,
  TemplateUpdate,
  TemplateView,
  TenantChoice,
  TenantMembership,
  TenantPatch,
  TenantRole,
  TenantView,
  TokenOnly,
  TriggerType,
  UserPatch,
  UserView,
  ValidationView,
  WorkflowChange,
  WorkflowCopy,
  WorkflowDetail,
  WorkflowDocument,
  WorkflowEstimateBody,
  WorkflowVersionView,
  WorkflowView,
} from "./models.ts";

/** What `downloadArtifact` is narrowed to. */
export interface DownloadArtifactQuery {
  /** Converts a table; as stored when left out */
  format?: Format | null;
}

/** What `getProjectUsage` is narrowed to. */
export interface GetProjectUsageQuery {
  /** the budget's own when left out, else TOTAL */
  period?: BudgetPeriod | null;
}

/** What `getWorkflowGraph` is narrowed to. */
export interface GetWorkflowGraphQuery {
  /** form of the answer */
  format?: GraphFormat;
  /** shows the version that it ran, with each step's status */
  executionId?: string | null;
}

/** What `listAgentVersions` is narrowed to. */
export interface ListAgentVersionsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listAgents` is narrowed to. */
export interface ListAgentsQuery {
  /** Type, or several of them */
  type?: AgentType[];
  /** Status, or several of them */
  status?: ResourceStatus[];
  /** Tags that must all be there; repeat it or write commas */
  tags?: string[];
  /** Text that name or description contain */
  search?: string | null;
  /** Whether everybody in the tenant reads it */
  isPublic?: boolean | null;
  /** The project that it belongs to */
  projectId?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "status" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listApiKeys` is narrowed to. */
export interface ListApiKeysQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "lastUsedAt" | "name";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listAuditLogs` is narrowed to. */
export interface ListAuditLogsQuery {
  /** Who did it */
  userId?: string | null;
  /** What was done, such as `agent.updated` */
  action?: string | null;
  /** What it was done to, such as `agent` */
  resourceType?: string | null;
  /** Id of what it was done to */
  resourceId?: string | null;
  /** Earliest time */
  from?: string | null;
  /** Time before which */
  to?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "action" | "createdAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listExecutionArtifacts` is narrowed to. */
export interface ListExecutionArtifactsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listExecutionLogs` is narrowed to. */
export interface ListExecutionLogsQuery {
  /** this level and what is graver */
  level?: LogLevel | null;
  /** Key or path of one step */
  stepKey?: string | null;
  /** From this time on */
  since?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listExecutionSteps` is narrowed to. */
export interface ListExecutionStepsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listExecutions` is narrowed to. */
export interface ListExecutionsQuery {
  /** Status, or several of them */
  status?: ExecutionStatus[];
  /** What started it, or several of these */
  triggerType?: TriggerType[];
  /** earliest time of creation */
  from?: string | null;
  /** time of creation before which */
  to?: string | null;
  /** The workflow that it belongs to */
  workflowId?: string | null;
  /** runs nested in this one, directly */
  parentExecutionId?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "completedAt" | "createdAt" | "durationMs" | "startedAt" | "status";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listInvitations` is narrowed to. */
export interface ListInvitationsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listLlmProviders` is narrowed to. */
export interface ListLlmProvidersQuery {
  /** which protocol they speak */
  kind?: ProviderKind | null;
  /** whether runs may ask them */
  isActive?: boolean | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "priority" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listMembers` is narrowed to. */
export interface ListMembersQuery {
  /** Role in the tenant, or several of them */
  role?: TenantRole[];
  /** Text that name or address contain */
  search?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "email" | "fullName" | "role";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listOwnSessions` is narrowed to. */
export interface ListOwnSessionsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listProjectSecrets` is narrowed to. */
export interface ListProjectSecretsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listProjects` is narrowed to. */
export interface ListProjectsQuery {
  /** Text that name or description contain */
  search?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listSecrets` is narrowed to. */
export interface ListSecretsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listTemplates` is narrowed to. */
export interface ListTemplatesQuery {
  /** Of one of these categories */
  category?: string[];
  /** That make one of these */
  type?: TemplateType[];
  /** Official ones, or all others */
  isOfficial?: boolean | null;
  /** Public ones, or private ones */
  isPublic?: boolean | null;
  /** Tags that must all be there; repeat it or write commas */
  tags?: string[];
  /** Text that name or description contain */
  search?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "updatedAt" | "usageCount";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listUsers` is narrowed to. */
export interface ListUsersQuery {
  /** Role on the platform, or several of them */
  role?: PlatformRole[];
  /** Whether they may log in */
  isActive?: boolean | null;
  /** Text that name or address contain */
  search?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "email" | "fullName" | "lastLoginAt" | "role";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listWorkflowExecutions` is narrowed to. */
export interface ListWorkflowExecutionsQuery {
  /** Status, or several of them */
  status?: ExecutionStatus[];
  /** What started it, or several of these */
  triggerType?: TriggerType[];
  /** earliest time of creation */
  from?: string | null;
  /** time of creation before which */
  to?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "completedAt" | "createdAt" | "durationMs" | "startedAt" | "status";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `listWorkflowVersions` is narrowed to. */
export interface ListWorkflowVersionsQuery {
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
}

/** What `listWorkflows` is narrowed to. */
export interface ListWorkflowsQuery {
  /** Status, or several of them */
  status?: ResourceStatus[];
  /** Tags that must all be there; repeat it or write commas */
  tags?: string[];
  /** Text that name or description contain */
  search?: string | null;
  /** Whether it starts by itself */
  scheduleEnabled?: boolean | null;
  /** Whether everybody in the tenant reads it */
  isPublic?: boolean | null;
  /** The project that it belongs to */
  projectId?: string | null;
  /** Page, counted from 1 */
  page?: number;
  /** Rows of one page */
  pageSize?: number;
  /** Field to sort by */
  sortBy?: "createdAt" | "name" | "status" | "updatedAt";
  /** Direction */
  sortOrder?: SortOrder;
}

/** What `retryExecutions` is narrowed to. */
export interface RetryExecutionsQuery {
  /** Status, or several of them */
  status?: ExecutionStatus[];
  /** What started it, or several of these */
  triggerType?: TriggerType[];
  /** earliest time of creation */
  from?: string | null;
  /** time of creation before which */
  to?: string | null;
  /** The workflow that it belongs to */
  workflowId?: string | null;
  /** runs nested in this one, directly */
  parentExecutionId?: string | null;
}

/** What `streamExecution` is narrowed to. */
export interface StreamExecutionQuery {
  /** Like the header `Last-Event-ID` */
  lastEventId?: number | null;
  /** A stream token, in place of headers */
  token?: string | null;
}

/** Every operation of the contract, by its name there. */
export class Turbocat extends Transport {
  /**
   * Joins the tenant of an invitation with the token of the mail, and logs in there. An address without
   * an account gets one with `password` and `fullName`; so does one whose account nobody has confirmed: what
   * it was opened with is worthless then. A token works once, within seven days; one that does not is a 400
   * on `token`.
   */
  acceptInvitation(body: Acceptance, options: CallOptions = {}): Promise<SignedInView> {
    return this.call<SignedInView>({
      method: "POST",
      path: "/api/v1/auth/accept-invitation",
      answer: "data",
      body,
      open: true,
      signsIn: true,
    }, options);
  }

  /**
   * Adds the user who has confirmed an address, or sends an invitation where there is none; both get a
   * mail. Another invitation of the same address takes the place of the first, at most five within an hour
   * (429). Only an OWNER makes OWNERs (403).
   */
  addMember(body: MemberAdd, options: CallOptions = {}): Promise<AddedMember> {
    return this.call<AddedMember>({
      method: "POST",
      path: "/api/v1/tenants/current/members",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Stops the run and everything that it has started, within 5 seconds. One that is over is refused (409). */
  cancelExecution(executionId: string, options: CallOptions = {}): Promise<ExecutionCancelled> {
    return this.call<ExecutionCancelled>({
      method: "POST",
      path: `/api/v1/executions/${segment(executionId)}/cancel`,
      answer: "data",
      takesKey: true,
    }, options);
  }

  /** Changes one's own password and ends every other session. */
  changePassword(body: PasswordChange, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "POST",
      path: "/api/v1/users/me/password",
      answer: "nothing",
      body,
      takesKey: true,
    }, options);
  }

  /** Makes an agent in status DRAFT; every problem of its config and schemas is reported at once, with its path. */
  createAgent(body: AgentCreate, options: CallOptions = {}): Promise<AgentView> {
    return this.call<AgentView>({
      method: "POST",
      path: "/api/v1/agents",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Makes a key that acts as the caller within `scopes`; the key itself is in this answer alone. What a key makes
   * ends no later than that key.
   */
  createApiKey(body: ApiKeyCreate, options: CallOptions = {}): Promise<IssuedApiKey> {
    return this.call<IssuedApiKey>({
      method: "POST",
      path: "/api/v1/api-keys",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Makes a provider; its credentials are encrypted, opened by workers alone and never shown again. */
  createLlmProvider(body: LlmProviderCreate, options: CallOptions = {}): Promise<LlmProviderView> {
    return this.call<LlmProviderView>({
      method: "POST",
      path: "/api/v1/llm-providers",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Makes a project with a key of its own, which is in this answer alone, and where wanted with a first agent. */
  createProject(body: ProjectCreate, options: CallOptions = {}): Promise<ProjectCreated> {
    return this.call<ProjectCreated>({
      method: "POST",
      path: "/api/v1/projects",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** A token that opens this execution's stream by `?token=` for 60 seconds, and nothing else. */
  createStreamToken(executionId: string, options: CallOptions = {}): Promise<StreamTokenView> {
    return this.call<StreamTokenView>({
      method: "POST",
      path: `/api/v1/executions/${segment(executionId)}/stream-token`,
      answer: "data",
      takesKey: true,
    }, options);
  }

  /**
   * Makes a template; every problem of its definition is reported at once, with its path.
   *
   * Its steps name agents of the template itself; an id of any other agent is an `UNKNOWN_AGENT`.
   */
  createTemplate(body: TemplateCreate, options: CallOptions = {}): Promise<TemplateDetail> {
    return this.call<TemplateDetail>({
      method: "POST",
      path: "/api/v1/templates",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Makes a workflow with its steps; every problem of the definition is reported at once, with its path. */
  createWorkflow(body: WorkflowDocument, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "POST",
      path: "/api/v1/workflows",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Deletes an agent, unless an ACTIVE workflow uses it (409; `details` lists which). */
  deleteAgent(agentId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/agents/${segment(agentId)}`,
      answer: "nothing",
    }, options);
  }

  /** Revokes a key; it is refused from now on. */
  deleteApiKey(keyId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/api-keys/${segment(keyId)}`,
      answer: "nothing",
    }, options);
  }

  /** Deletes a provider and destroys its credentials; calls that have begun end as they would have. */
  deleteLlmProvider(providerId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/llm-providers/${segment(providerId)}`,
      answer: "nothing",
    }, options);
  }

  /** Deletes a project: its keys are refused at once and its secrets destroyed; agents and workflows stay. */
  deleteProject(projectId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/projects/${segment(projectId)}`,
      answer: "nothing",
    }, options);
  }

  /** Destroys a project's secret. */
  deleteProjectSecret(projectId: string, name: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/projects/${segment(projectId)}/secrets/${segment(name)}`,
      answer: "nothing",
    }, options);
  }

  /** Destroys a secret of the whole tenant. */
  deleteSecret(name: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/secrets/${segment(name)}`,
      answer: "nothing",
    }, options);
  }

  /** Deletes a template; what was made of it stays. */
  deleteTemplate(templateId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/templates/${segment(templateId)}`,
      answer: "nothing",
    }, options);
  }

  /** Deletes a workflow; its Prefect deployments and its schedule go with it. */
  deleteWorkflow(workflowId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/workflows/${segment(workflowId)}`,
      answer: "nothing",
    }, options);
  }

  /** Hands an event to every WAIT step of the tenant that waits for its type and whose `filter` holds for it. */
  deliverEvent(body: EventDelivery, options: CallOptions = {}): Promise<EventDelivered> {
    return this.call<EventDelivered>({
      method: "POST",
      path: "/api/v1/events",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * The file, whole or a span of it (`Range`, `If-Range`); tables also converted to another `format`.
   *
   * Cells stay data: in CSV a text that begins with `=`, `+`, `-` or `@` is written as it is, and a spreadsheet
   * may
   * take it for a formula. Import such a column as text, or let the DATA agent's sink escape it.
   */
  downloadArtifact(artifactId: string, query: DownloadArtifactQuery = {}, options: CallOptions = {}): Promise<Blob> {
    return this.call<Blob>({
      method: "GET",
      path: `/api/v1/artifacts/${segment(artifactId)}`,
      answer: "blob",
      query,
    }, options);
  }

  /**
   * Makes a private DRAFT of the caller's with the same content; `parentId` is the source.
   *
   * Its version is the highest of the whole lineage and one more.
   */
  duplicateAgent(agentId: string, body: AgentCopy = {}, options: CallOptions = {}): Promise<AgentView> {
    return this.call<AgentView>({
      method: "POST",
      path: `/api/v1/agents/${segment(agentId)}/duplicate`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Makes a private DRAFT of the caller's that does the same; `parentId` is the source, its schedule is off.
   *
   * Its version is the highest of the whole lineage and one more. An agent that the caller may not use is a 400.
   */
  duplicateWorkflow(workflowId: string, body: WorkflowCopy = {}, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "POST",
      path: `/api/v1/workflows/${segment(workflowId)}/duplicate`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Ends one of the caller's sessions at once, its access token too; the current one may be among them. */
  endSession(sessionId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/auth/sessions/${segment(sessionId)}`,
      answer: "nothing",
    }, options);
  }

  /** What one run of the agent will ask of models and what that will cost; nothing is run. */
  estimateAgent(agentId: string, body: AgentEstimateBody = {}, options: CallOptions = {}): Promise<EstimateView> {
    return this.call<EstimateView>({
      method: "POST",
      path: `/api/v1/agents/${segment(agentId)}/estimate`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** The same for a run of the workflow as it is now, a DRAFT too, with its loops and retries; nothing is run. */
  estimateWorkflow(workflowId: string, body: WorkflowEstimateBody = {}, options: CallOptions = {}): Promise<EstimateView> {
    return this.call<EstimateView>({
      method: "POST",
      path: `/api/v1/workflows/${segment(workflowId)}/estimate`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Starts an ACTIVE workflow as it is now. The run is accepted even while Prefect is away, and starts later then. */
  executeWorkflow(workflowId: string, body: ExecutionStart = {}, options: CallOptions = {}): Promise<ExecutionStarted> {
    return this.call<ExecutionStarted>({
      method: "POST",
      path: `/api/v1/workflows/${segment(workflowId)}/execute`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Sends a mail with a token for `/auth/reset-password`, if there is such an account. The answer is always the
   * same. Within a minute of such a mail no second one is sent.
   */
  forgotPassword(body: AddressOnly, options: CallOptions = {}): Promise<null> {
    return this.call<null>({
      method: "POST",
      path: "/api/v1/auth/forgot-password",
      answer: "data",
      body,
      open: true,
    }, options);
  }

  /** One agent, with what it is doing now and how its newest runs went. */
  getAgent(agentId: string, options: CallOptions = {}): Promise<AgentView> {
    return this.call<AgentView>({
      method: "GET",
      path: `/api/v1/agents/${segment(agentId)}`,
      answer: "data",
    }, options);
  }

  /** The tenant that the caller is in. */
  getCurrentTenant(options: CallOptions = {}): Promise<TenantView> {
    return this.call<TenantView>({
      method: "GET",
      path: "/api/v1/tenants/current",
      answer: "data",
    }, options);
  }

  /** One execution with its inputs, outputs, error, step counts, usage, waits and where it is in the Prefect UI. */
  getExecution(executionId: string, options: CallOptions = {}): Promise<ExecutionView> {
    return this.call<ExecutionView>({
      method: "GET",
      path: `/api/v1/executions/${segment(executionId)}`,
      answer: "data",
    }, options);
  }

  /** Database, Prefect and workers, for people and monitoring; 503 when one is down. */
  getHealth(options: CallOptions = {}): Promise<Health> {
    return this.call<Health>({
      method: "GET",
      path: "/health",
      answer: "whole",
      open: true,
    }, options);
  }

  /** One provider, with the prices that its calls are counted with. */
  getLlmProvider(providerId: string, options: CallOptions = {}): Promise<LlmProviderView> {
    return this.call<LlmProviderView>({
      method: "GET",
      path: `/api/v1/llm-providers/${segment(providerId)}`,
      answer: "data",
    }, options);
  }

  /**
   * Requests, latencies, connections and open executions, for Prometheus. Needs the token of
   * `TURBOCAT_METRICS_TOKEN` where one is set; without one only the machine itself may read.
   */
  getMetrics(options: CallOptions = {}): Promise<string> {
    return this.call<string>({
      method: "GET",
      path: "/metrics",
      answer: "text",
      open: true,
    }, options);
  }

  /** The caller's own profile. */
  getOwnProfile(options: CallOptions = {}): Promise<UserView> {
    return this.call<UserView>({
      method: "GET",
      path: "/api/v1/users/me",
      answer: "data",
    }, options);
  }

  /** One project. */
  getProject(projectId: string, options: CallOptions = {}): Promise<ProjectView> {
    return this.call<ProjectView>({
      method: "GET",
      path: `/api/v1/projects/${segment(projectId)}`,
      answer: "data",
    }, options);
  }

  /** What the project's runs have used of models today, this month or ever (in UTC), and how much of its budget. */
  getProjectUsage(projectId: string, query: GetProjectUsageQuery = {}, options: CallOptions = {}): Promise<ProjectUsageView> {
    return this.call<ProjectUsageView>({
      method: "GET",
      path: `/api/v1/projects/${segment(projectId)}/usage`,
      answer: "data",
      query,
    }, options);
  }

  /** Whether requests can be answered, for balancers. */
  getReadiness(options: CallOptions = {}): Promise<Readiness> {
    return this.call<Readiness>({
      method: "GET",
      path: "/ready",
      answer: "whole",
      open: true,
    }, options);
  }

  /** One template with what it makes; a public one needs no login. */
  getTemplate(templateId: string, options: CallOptions = {}): Promise<TemplateDetail> {
    return this.call<TemplateDetail>({
      method: "GET",
      path: `/api/v1/templates/${segment(templateId)}`,
      answer: "data",
    }, options);
  }

  /** One user. For the platform's ADMIN. */
  getUser(userId: string, options: CallOptions = {}): Promise<UserView> {
    return this.call<UserView>({
      method: "GET",
      path: `/api/v1/users/${segment(userId)}`,
      answer: "data",
    }, options);
  }

  /** One workflow with its steps, each with its agent. */
  getWorkflow(workflowId: string, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "GET",
      path: `/api/v1/workflows/${segment(workflowId)}`,
      answer: "data",
    }, options);
  }

  /** The workflow's steps and what waits for what, laid out from left to right. */
  getWorkflowGraph(workflowId: string, query: GetWorkflowGraphQuery = {}, options: CallOptions = {}): Promise<GraphView | string> {
    return this.call<GraphView | string>({
      method: "GET",
      path: `/api/v1/workflows/${segment(workflowId)}/graph`,
      answer: "data",
      query,
    }, options);
  }

  /** One version of the workflow, as it was. */
  getWorkflowVersion(workflowId: string, number: number, options: CallOptions = {}): Promise<WorkflowVersionView> {
    return this.call<WorkflowVersionView>({
      method: "GET",
      path: `/api/v1/workflows/${segment(workflowId)}/versions/${segment(number)}`,
      answer: "data",
    }, options);
  }

  /**
   * Makes the template's agent, or its workflow with all agents in it, in the caller's tenant: all or nothing.
   *
   * `customizations` are checked against the template's `parameters` and filled in. What is made is a DRAFT, so
   * that
   * nothing runs; the agents of a workflow are ACTIVE.
   */
  instantiateTemplate(templateId: string, body: Instantiation = {}, options: CallOptions = {}): Promise<AgentView | WorkflowDetail> {
    return this.call<AgentView | WorkflowDetail>({
      method: "POST",
      path: `/api/v1/templates/${segment(templateId)}/instantiate`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * The versions of the agent's whole lineage (what it was duplicated from, and its duplicates), newest first.
   *
   * `agentId` says whose each is. Deleted members keep theirs; those of members that the caller may not read are
   * left
   * out.
   */
  listAgentVersions(agentId: string, query: ListAgentVersionsQuery = {}, options: CallOptions = {}): Promise<Page<AgentVersionView>> {
    return this.call<Page<AgentVersionView>>({
      method: "GET",
      path: `/api/v1/agents/${segment(agentId)}/versions`,
      answer: "page",
      query,
    }, options);
  }

  /** The tenant's agents that the caller reads: one's own, the public ones, and all for administrators. */
  listAgents(query: ListAgentsQuery = {}, options: CallOptions = {}): Promise<Page<AgentView>> {
    return this.call<Page<AgentView>>({
      method: "GET",
      path: "/api/v1/agents",
      answer: "page",
      query,
    }, options);
  }

  /** The caller's keys, and everybody's for administrators of the tenant; never the secrets. */
  listApiKeys(query: ListApiKeysQuery = {}, options: CallOptions = {}): Promise<Page<ApiKeyView>> {
    return this.call<Page<ApiKeyView>>({
      method: "GET",
      path: "/api/v1/api-keys",
      answer: "page",
      query,
    }, options);
  }

  /** What happened in the tenant, newest first unless sorted otherwise. */
  listAuditLogs(query: ListAuditLogsQuery = {}, options: CallOptions = {}): Promise<Page<AuditEntry>> {
    return this.call<Page<AuditEntry>>({
      method: "GET",
      path: "/api/v1/audit-logs",
      answer: "page",
      query,
    }, options);
  }

  /** The datasets and files that the execution's steps have made, also those that a retry took over. */
  listExecutionArtifacts(executionId: string, query: ListExecutionArtifactsQuery = {}, options: CallOptions = {}): Promise<Page<ArtifactView>> {
    return this.call<Page<ArtifactView>>({
      method: "GET",
      path: `/api/v1/executions/${segment(executionId)}/artifacts`,
      answer: "page",
      query,
    }, options);
  }

  /** The execution's log lines in their order. */
  listExecutionLogs(executionId: string, query: ListExecutionLogsQuery = {}, options: CallOptions = {}): Promise<Page<LogView>> {
    return this.call<Page<LogView>>({
      method: "GET",
      path: `/api/v1/executions/${segment(executionId)}/logs`,
      answer: "page",
      query,
    }, options);
  }

  /** The execution's attempts of steps in the order of their start; a step that has not started has none. */
  listExecutionSteps(executionId: string, query: ListExecutionStepsQuery = {}, options: CallOptions = {}): Promise<Page<StepRunView>> {
    return this.call<Page<StepRunView>>({
      method: "GET",
      path: `/api/v1/executions/${segment(executionId)}/steps`,
      answer: "page",
      query,
    }, options);
  }

  /** The executions of all workflows that the caller reads, newest first; without inputs and outputs. */
  listExecutions(query: ListExecutionsQuery = {}, options: CallOptions = {}): Promise<Page<ExecutionRow>> {
    return this.call<Page<ExecutionRow>>({
      method: "GET",
      path: "/api/v1/executions",
      answer: "page",
      query,
    }, options);
  }

  /** Invitations that can still be accepted, newest first. */
  listInvitations(query: ListInvitationsQuery = {}, options: CallOptions = {}): Promise<Page<InvitationView>> {
    return this.call<Page<InvitationView>>({
      method: "GET",
      path: "/api/v1/tenants/current/invitations",
      answer: "page",
      query,
    }, options);
  }

  /** The tenant's providers in the order in which runs ask them. */
  listLlmProviders(query: ListLlmProvidersQuery = {}, options: CallOptions = {}): Promise<Page<LlmProviderView>> {
    return this.call<Page<LlmProviderView>>({
      method: "GET",
      path: "/api/v1/llm-providers",
      answer: "page",
      query,
    }, options);
  }

  /** Who belongs to the tenant that the caller is in. */
  listMembers(query: ListMembersQuery = {}, options: CallOptions = {}): Promise<Page<MemberView>> {
    return this.call<Page<MemberView>>({
      method: "GET",
      path: "/api/v1/tenants/current/members",
      answer: "page",
      query,
    }, options);
  }

  /** The caller's open sessions in all tenants, the one that was used last first. */
  listOwnSessions(query: ListOwnSessionsQuery = {}, options: CallOptions = {}): Promise<Page<SessionView>> {
    return this.call<Page<SessionView>>({
      method: "GET",
      path: "/api/v1/auth/sessions",
      answer: "page",
      query,
    }, options);
  }

  /** Every tenant that the caller belongs to, with their role there. */
  listOwnTenants(options: CallOptions = {}): Promise<TenantMembership[]> {
    return this.call<TenantMembership[]>({
      method: "GET",
      path: "/api/v1/users/me/tenants",
      answer: "data",
    }, options);
  }

  /** Names of a project's secrets; values are never shown. */
  listProjectSecrets(projectId: string, query: ListProjectSecretsQuery = {}, options: CallOptions = {}): Promise<Page<SecretView>> {
    return this.call<Page<SecretView>>({
      method: "GET",
      path: `/api/v1/projects/${segment(projectId)}/secrets`,
      answer: "page",
      query,
    }, options);
  }

  /** The tenant's projects; `search` looks into name and description. */
  listProjects(query: ListProjectsQuery = {}, options: CallOptions = {}): Promise<Page<ProjectView>> {
    return this.call<Page<ProjectView>>({
      method: "GET",
      path: "/api/v1/projects",
      answer: "page",
      query,
    }, options);
  }

  /** Names of the secrets of the whole tenant; values are never shown. */
  listSecrets(query: ListSecretsQuery = {}, options: CallOptions = {}): Promise<Page<SecretView>> {
    return this.call<Page<SecretView>>({
      method: "GET",
      path: "/api/v1/secrets",
      answer: "page",
      query,
    }, options);
  }

  /**
   * Public templates of all tenants; with a login also one's own private ones, and all of the tenant's for
   * administrators.
   */
  listTemplates(query: ListTemplatesQuery = {}, options: CallOptions = {}): Promise<Page<TemplateView>> {
    return this.call<Page<TemplateView>>({
      method: "GET",
      path: "/api/v1/templates",
      answer: "page",
      query,
    }, options);
  }

  /** The users of all tenants. For the platform's ADMIN. */
  listUsers(query: ListUsersQuery = {}, options: CallOptions = {}): Promise<Page<UserView>> {
    return this.call<Page<UserView>>({
      method: "GET",
      path: "/api/v1/users",
      answer: "page",
      query,
    }, options);
  }

  /** One workflow's executions, newest first. */
  listWorkflowExecutions(workflowId: string, query: ListWorkflowExecutionsQuery = {}, options: CallOptions = {}): Promise<Page<ExecutionRow>> {
    return this.call<Page<ExecutionRow>>({
      method: "GET",
      path: `/api/v1/workflows/${segment(workflowId)}/executions`,
      answer: "page",
      query,
    }, options);
  }

  /** The workflow's versions, newest first, each as it was. */
  listWorkflowVersions(workflowId: string, query: ListWorkflowVersionsQuery = {}, options: CallOptions = {}): Promise<Page<WorkflowVersionView>> {
    return this.call<Page<WorkflowVersionView>>({
      method: "GET",
      path: `/api/v1/workflows/${segment(workflowId)}/versions`,
      answer: "page",
      query,
    }, options);
  }

  /** The tenant's workflows that the caller reads, without their steps. */
  listWorkflows(query: ListWorkflowsQuery = {}, options: CallOptions = {}): Promise<Page<WorkflowView>> {
    return this.call<Page<WorkflowView>>({
      method: "GET",
      path: "/api/v1/workflows",
      answer: "page",
      query,
    }, options);
  }

  /** Opens a session. */
  login(body: Login, options: CallOptions = {}): Promise<SignedInView> {
    return this.call<SignedInView>({
      method: "POST",
      path: "/api/v1/auth/login",
      answer: "data",
      body,
      open: true,
      signsIn: true,
    }, options);
  }

  /** Ends the session at once, its access token too. */
  logout(options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "POST",
      path: "/api/v1/auth/logout",
      answer: "nothing",
    }, options);
  }

  /**
   * The first rows of the table that a DATA step gave.
   *
   * Those of a step that was computed as a part of the next one (`fusedInto`) are computed now, once, by a run of
   * their
   * own, from what the step read. Where that is another or gone by now, `error` says so.
   */
  previewStep(executionId: string, body: StepPreview, options: CallOptions = {}): Promise<StepPreviewView> {
    return this.call<StepPreviewView>({
      method: "POST",
      path: `/api/v1/executions/${segment(executionId)}/preview`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Makes a project's secret or replaces its value; inside the project it goes before the tenant's of that name. */
  putProjectSecret(projectId: string, name: string, body: SecretValue, options: CallOptions = {}): Promise<SecretView> {
    return this.call<SecretView>({
      method: "PUT",
      path: `/api/v1/projects/${segment(projectId)}/secrets/${segment(name)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Makes a secret of the whole tenant or replaces its value; runs that start from now on use it. */
  putSecret(name: string, body: SecretValue, options: CallOptions = {}): Promise<SecretView> {
    return this.call<SecretView>({
      method: "PUT",
      path: `/api/v1/secrets/${segment(name)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Exchanges a refresh token for the next one and a new access token. A used one ends the session. */
  refresh(body: Refresh, options: CallOptions = {}): Promise<RefreshedView> {
    return this.call<RefreshedView>({
      method: "POST",
      path: "/api/v1/auth/refresh",
      answer: "data",
      body,
      open: true,
      signsIn: true,
    }, options);
  }

  /** Creates a user and a tenant that they own, and logs them in. A mail asks them to confirm their address. */
  register(body: Registration, options: CallOptions = {}): Promise<SignedInView> {
    return this.call<SignedInView>({
      method: "POST",
      path: "/api/v1/auth/register",
      answer: "data",
      body,
      open: true,
      signsIn: true,
    }, options);
  }

  /**
   * Ends a membership and its sessions at once. Every member may leave; OWNERs and ADMINs remove others, and only
   * an
   * OWNER removes OWNERs (403). The last OWNER cannot leave (409).
   */
  removeMember(userId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/tenants/current/members/${segment(userId)}`,
      answer: "nothing",
    }, options);
  }

  /** Changes the whole agent to what the body says; what is left out falls back to its default. */
  replaceAgent(agentId: string, body: AgentReplace, options: CallOptions = {}): Promise<AgentView> {
    return this.call<AgentView>({
      method: "PUT",
      path: `/api/v1/agents/${segment(agentId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Changes the whole workflow to what the body says; what is left out falls back to its default. */
  replaceWorkflow(workflowId: string, body: WorkflowDocument, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "PUT",
      path: `/api/v1/workflows/${segment(workflowId)}`,
      answer: "data",
      body,
    }, options);
  }

  /**
   * Sends another mail with a token for `/auth/verify-email`, if there is such an account and it is not confirmed
   * yet. The answer is always the same. Within a minute of such a mail no second one is sent.
   */
  resendVerification(body: AddressOnly, options: CallOptions = {}): Promise<null> {
    return this.call<null>({
      method: "POST",
      path: "/api/v1/auth/resend-verification",
      answer: "data",
      body,
      open: true,
    }, options);
  }

  /**
   * Sets a new password with the token of a mail, and ends all sessions of the account. A token works once, within
   * one hour; one that does not is a 400 on `token`.
   */
  resetPassword(body: PasswordReset, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "POST",
      path: "/api/v1/auth/reset-password",
      answer: "nothing",
      body,
      open: true,
    }, options);
  }

  /**
   * Makes a new version with that version's inputs, limits, steps and output, checked as if they were sent now.
   *
   * Name, description, tags, visibility, schedule and status stay as they are. What is the same already stays too.
   */
  restoreWorkflowVersion(workflowId: string, number: number, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "POST",
      path: `/api/v1/workflows/${segment(workflowId)}/versions/${segment(number)}/restore`,
      answer: "data",
      takesKey: true,
    }, options);
  }

  /**
   * Answers an open WAIT step of kind approval or input; the run goes on within a second.
   *
   * Those answer whom the step's `assignees` name, or who may run workflows where it names nobody. The first
   * answer
   * counts, a later one is refused (409).
   */
  resumeExecution(executionId: string, body: ExecutionResume, options: CallOptions = {}): Promise<ExecutionResumed> {
    return this.call<ExecutionResumed>({
      method: "POST",
      path: `/api/v1/executions/${segment(executionId)}/resume`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Goes on with a failed, cancelled or timed-out run as a new execution, linked by `retryOf`.
   *
   * Finished steps keep their results, only the rest runs. `fromStep` runs one step and what depends on it again,
   * also
   * of a completed run.
   */
  retryExecution(executionId: string, body: ExecutionRetry = {}, options: CallOptions = {}): Promise<ExecutionRetried> {
    return this.call<ExecutionRetried>({
      method: "POST",
      path: `/api/v1/executions/${segment(executionId)}/retry`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Retries failed, cancelled and timed-out runs: those that the filters name and nobody has retried, oldest
   * first.
   *
   * 100 a call; `left` says how many more there are. A run that cannot be retried is answered with the reason.
   */
  retryExecutions(query: RetryExecutionsQuery = {}, options: CallOptions = {}): Promise<ExecutionsRetried> {
    return this.call<ExecutionsRetried>({
      method: "POST",
      path: "/api/v1/executions/retry",
      answer: "data",
      query,
      takesKey: true,
    }, options);
  }

  /** Takes an invitation back: its token works no more. */
  revokeInvitation(invitationId: string, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "DELETE",
      path: `/api/v1/tenants/current/invitations/${segment(invitationId)}`,
      answer: "nothing",
    }, options);
  }

  /** Gives the key a new secret, in this answer alone; the former one is refused from now on. */
  rotateApiKey(keyId: string, options: CallOptions = {}): Promise<IssuedApiKey> {
    return this.call<IssuedApiKey>({
      method: "POST",
      path: `/api/v1/api-keys/${segment(keyId)}/rotate`,
      answer: "data",
      takesKey: true,
    }, options);
  }

  /**
   * What happens in the execution, as Server-Sent Events: first all that is on record, then what comes.
   *
   * Each event that is on record has its number as `id`, events and log lines in one order; `Last-Event-ID` goes
   * on
   * behind it without gap or repetition. A comment comes every 15 s (a setting). The stream ends by itself after
   * the
   * final status, also when the run has ended before; after an hour (a setting), for the client to come again; and
   * when the caller may no longer read the execution. `token` events are told live only. Browsers, whose
   * `EventSource`
   * sends no headers, take a token of `POST /executions/{id}/stream-token`.
   */
  streamExecution(executionId: string, query: StreamExecutionQuery = {}, options: CallOptions = {}): AsyncGenerator<StreamEvent> {
    return this.events<StreamEvent>({
      method: "GET",
      path: `/api/v1/executions/${segment(executionId)}/stream`,
      answer: "stream",
      query,
    }, options);
  }

  /**
   * Opens a session in another tenant of the caller's; the current one stays open. The platform's ADMIN may enter
   * every tenant; for all others a tenant that they do not belong to is a 404.
   */
  switchTenant(body: TenantChoice, options: CallOptions = {}): Promise<SignedInView> {
    return this.call<SignedInView>({
      method: "POST",
      path: "/api/v1/auth/switch-tenant",
      answer: "data",
      body,
      signsIn: true,
    }, options);
  }

  /**
   * Runs the agent once, now, under its limits, and waits for the end, for a minute at most unless set otherwise.
   *
   * An agent without a `timeoutSeconds` gets that minute. A DRAFT or INACTIVE agent is tested by those who may
   * change
   * it, an ARCHIVED one by nobody (409).
   */
  testAgent(agentId: string, body: AgentTest, options: CallOptions = {}): Promise<AgentTestView> {
    return this.call<AgentTestView>({
      method: "POST",
      path: `/api/v1/agents/${segment(agentId)}/test`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /**
   * Asks the provider, active or not, which models it has and one of them a tiny question, which may cost a
   * little.
   *
   * An answer with `ok: false` is a success of the test: `error` says what to change.
   */
  testLlmProvider(providerId: string, body: ProviderTest = {}, options: CallOptions = {}): Promise<ProviderTestView> {
    return this.call<ProviderTestView>({
      method: "POST",
      path: `/api/v1/llm-providers/${segment(providerId)}/test`,
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Changes what the body names; each change is a new version. Status goes DRAFT, ACTIVE, INACTIVE, ARCHIVED. */
  updateAgent(agentId: string, body: AgentUpdate, options: CallOptions = {}): Promise<AgentView> {
    return this.call<AgentView>({
      method: "PATCH",
      path: `/api/v1/agents/${segment(agentId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Changes the tenant that the caller is in. */
  updateCurrentTenant(body: TenantPatch, options: CallOptions = {}): Promise<TenantView> {
    return this.call<TenantView>({
      method: "PATCH",
      path: "/api/v1/tenants/current",
      answer: "data",
      body,
    }, options);
  }

  /** Changes what the body names; calls that begin from now on see it. Credentials stay with their address. */
  updateLlmProvider(providerId: string, body: LlmProviderUpdate, options: CallOptions = {}): Promise<LlmProviderView> {
    return this.call<LlmProviderView>({
      method: "PATCH",
      path: `/api/v1/llm-providers/${segment(providerId)}`,
      answer: "data",
      body,
    }, options);
  }

  /**
   * Gives a member another role, from their next request on. Only an OWNER makes or changes OWNERs (403); the last
   * OWNER stays one (409).
   */
  updateMember(userId: string, body: MemberPatch, options: CallOptions = {}): Promise<MemberView> {
    return this.call<MemberView>({
      method: "PATCH",
      path: `/api/v1/tenants/current/members/${segment(userId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Changes name, picture or preferences; `avatarUrl: null` removes the picture. */
  updateOwnProfile(body: ProfilePatch, options: CallOptions = {}): Promise<UserView> {
    return this.call<UserView>({
      method: "PATCH",
      path: "/api/v1/users/me",
      answer: "data",
      body,
    }, options);
  }

  /** Changes what the body names; `budget: null` takes the budget away. */
  updateProject(projectId: string, body: ProjectUpdate, options: CallOptions = {}): Promise<ProjectView> {
    return this.call<ProjectView>({
      method: "PATCH",
      path: `/api/v1/projects/${segment(projectId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Changes what the body names; a template of another tenant is a 404, public or not. */
  updateTemplate(templateId: string, body: TemplateUpdate, options: CallOptions = {}): Promise<TemplateDetail> {
    return this.call<TemplateDetail>({
      method: "PATCH",
      path: `/api/v1/templates/${segment(templateId)}`,
      answer: "data",
      body,
    }, options);
  }

  /**
   * Changes a user's name or platform role, deactivates or activates them, all at once in force. The last active
   * ADMIN stays one (409). For the platform's ADMIN.
   */
  updateUser(userId: string, body: UserPatch, options: CallOptions = {}): Promise<UserView> {
    return this.call<UserView>({
      method: "PATCH",
      path: `/api/v1/users/${segment(userId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Changes what the body names; `steps` are always the whole list. Each change is a new version. */
  updateWorkflow(workflowId: string, body: WorkflowChange, options: CallOptions = {}): Promise<WorkflowDetail> {
    return this.call<WorkflowDetail>({
      method: "PATCH",
      path: `/api/v1/workflows/${segment(workflowId)}`,
      answer: "data",
      body,
    }, options);
  }

  /** Checks a workflow without storing it, and says in which order its steps would run. */
  validateWorkflow(body: WorkflowDocument, options: CallOptions = {}): Promise<ValidationView> {
    return this.call<ValidationView>({
      method: "POST",
      path: "/api/v1/workflows/validate",
      answer: "data",
      body,
      takesKey: true,
    }, options);
  }

  /** Confirms an address with the token of a mail. It works once, within one day. */
  verifyEmail(body: TokenOnly, options: CallOptions = {}): Promise<void> {
    return this.call<void>({
      method: "POST",
      path: "/api/v1/auth/verify-email",
      answer: "nothing",
      body,
      open: true,
    }, options);
  }
}
