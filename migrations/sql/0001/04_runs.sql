-- What was run.

CREATE TABLE executions (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    workflow_id uuid,
    workflow_version integer,
    agent_id uuid,
    deployment_id uuid,
    user_id uuid,
    retry_of uuid,
    parent_execution_id uuid,
    parent_path varchar,
    depth integer DEFAULT 0 NOT NULL,
    trigger_type trigger_type DEFAULT 'MANUAL' NOT NULL,
    status execution_status DEFAULT 'PENDING' NOT NULL,
    environment environment DEFAULT 'DEVELOPMENT' NOT NULL,
    priority varchar DEFAULT 'default' NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    plan jsonb DEFAULT '{}'::jsonb NOT NULL,
    inputs jsonb DEFAULT '{}'::jsonb NOT NULL,
    outputs jsonb,
    error jsonb,
    steps_total integer DEFAULT 0 NOT NULL,
    steps_completed integer DEFAULT 0 NOT NULL,
    steps_failed integer DEFAULT 0 NOT NULL,
    steps_skipped integer DEFAULT 0 NOT NULL,
    queued_at timestamptz DEFAULT now() NOT NULL,
    submitted_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancel_requested_at timestamptz,
    suspended_at timestamptz,
    resumed_at timestamptz,
    wake_at timestamptz,
    active_ms bigint DEFAULT 0 NOT NULL,
    losses integer DEFAULT 0 NOT NULL,
    duration_ms integer,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(18, 8) DEFAULT 0,
    request_id varchar,
    prefect_flow_run_id uuid,
    prefect_run_count integer,
    last_seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT ck_executions_priority CHECK (priority IN ('high', 'default', 'low')),
    CONSTRAINT fk_executions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_executions_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_deployment_id FOREIGN KEY (deployment_id) REFERENCES deployments (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_retry_of FOREIGN KEY (retry_of) REFERENCES executions (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_parent_execution_id FOREIGN KEY (parent_execution_id) REFERENCES executions (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX uq_executions_prefect_flow_run_id_prefect_run_count ON executions (prefect_flow_run_id, prefect_run_count);
CREATE INDEX ix_executions_agent_id ON executions (agent_id);
CREATE INDEX ix_executions_completed_at ON executions (completed_at);
CREATE INDEX ix_executions_created_at ON executions (created_at);
CREATE INDEX ix_executions_deployment_id ON executions (deployment_id);
CREATE INDEX ix_executions_parent_execution_id ON executions (parent_execution_id);
CREATE INDEX ix_executions_retry_of ON executions (retry_of);
CREATE INDEX ix_executions_status ON executions (status);
CREATE INDEX ix_executions_tenant_id ON executions (tenant_id);
CREATE INDEX ix_executions_tenant_id_created_at ON executions (tenant_id, created_at);
CREATE INDEX ix_executions_tenant_id_submitted_at ON executions (tenant_id, submitted_at);
CREATE INDEX ix_executions_user_id ON executions (user_id);
CREATE INDEX ix_executions_workflow_id_created_at ON executions (workflow_id, created_at);

CREATE TABLE step_runs (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    agent_id uuid,
    step_key varchar NOT NULL,
    path varchar NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    status step_status DEFAULT 'PENDING' NOT NULL,
    input jsonb,
    output jsonb,
    output_ref varchar,
    reused_from uuid,
    preview jsonb,
    error jsonb,
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms integer,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(18, 8) DEFAULT 0,
    calls jsonb DEFAULT '[]'::jsonb NOT NULL,
    sandbox varchar,
    CONSTRAINT pk_step_runs PRIMARY KEY (id),
    CONSTRAINT fk_step_runs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_step_runs_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE,
    CONSTRAINT fk_step_runs_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE SET NULL
);
CREATE INDEX ix_step_runs_agent_id_open ON step_runs (agent_id) WHERE status IN ('RUNNING', 'PAUSED');
CREATE INDEX ix_step_runs_agent_id_started_at ON step_runs (agent_id, started_at);
CREATE UNIQUE INDEX uq_step_runs_execution_id_path_attempt ON step_runs (execution_id, path, attempt);
CREATE INDEX ix_step_runs_tenant_id ON step_runs (tenant_id);

CREATE TABLE step_waits (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    step_run_id uuid NOT NULL,
    path varchar NOT NULL,
    kind varchar NOT NULL,
    due_at timestamptz,
    message varchar,
    form jsonb,
    assignees text[] DEFAULT '{}'::text[] NOT NULL,
    event_type varchar,
    filter varchar,
    answer jsonb,
    answered_at timestamptz,
    answered_by uuid,
    via varchar,
    closed_at timestamptz,
    CONSTRAINT pk_step_waits PRIMARY KEY (id),
    CONSTRAINT ck_step_waits_kind CHECK (kind IN ('duration', 'until', 'approval', 'input', 'event')),
    CONSTRAINT ck_step_waits_via CHECK (via IN ('REST', 'PREFECT', 'EVENT')),
    CONSTRAINT fk_step_waits_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_step_waits_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE,
    CONSTRAINT fk_step_waits_step_run_id FOREIGN KEY (step_run_id) REFERENCES step_runs (id) ON DELETE CASCADE,
    CONSTRAINT fk_step_waits_answered_by FOREIGN KEY (answered_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX ix_step_waits_execution_id_path ON step_waits (execution_id, path);
CREATE INDEX ix_step_waits_step_run_id ON step_waits (step_run_id);
CREATE INDEX ix_step_waits_answered_by ON step_waits (answered_by);
CREATE INDEX ix_step_waits_tenant_id ON step_waits (tenant_id);
CREATE INDEX ix_step_waits_due_at_open ON step_waits (due_at) WHERE closed_at IS NULL;
CREATE INDEX ix_step_waits_event_type_open ON step_waits (tenant_id, event_type) WHERE closed_at IS NULL;

CREATE TABLE execution_logs (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    step_run_id uuid,
    step_key varchar,
    level log_level DEFAULT 'INFO' NOT NULL,
    message varchar NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    seq bigint NOT NULL,
    CONSTRAINT pk_execution_logs PRIMARY KEY (id),
    CONSTRAINT fk_execution_logs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_execution_logs_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE,
    CONSTRAINT fk_execution_logs_step_run_id FOREIGN KEY (step_run_id) REFERENCES step_runs (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_execution_logs_execution_id_seq ON execution_logs (execution_id, seq);
CREATE INDEX ix_execution_logs_created_at ON execution_logs (created_at);
CREATE INDEX ix_execution_logs_level ON execution_logs (level);
CREATE INDEX ix_execution_logs_step_run_id ON execution_logs (step_run_id);
CREATE INDEX ix_execution_logs_tenant_id ON execution_logs (tenant_id);

CREATE TABLE execution_events (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    seq bigint NOT NULL,
    type varchar NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_execution_events PRIMARY KEY (id),
    CONSTRAINT fk_execution_events_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_execution_events_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_execution_events_execution_id_seq ON execution_events (execution_id, seq);
CREATE INDEX ix_execution_events_tenant_id ON execution_events (tenant_id);

CREATE TABLE artifacts (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    step_run_id uuid NOT NULL,
    name varchar NOT NULL,
    media_type varchar NOT NULL,
    bytes bigint NOT NULL,
    rows bigint,
    schema jsonb,
    uri varchar NOT NULL,
    sha256 varchar NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (id),
    CONSTRAINT fk_artifacts_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_artifacts_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE,
    CONSTRAINT fk_artifacts_step_run_id FOREIGN KEY (step_run_id) REFERENCES step_runs (id) ON DELETE CASCADE
);
CREATE INDEX ix_artifacts_execution_id ON artifacts (execution_id);
CREATE INDEX ix_artifacts_step_run_id ON artifacts (step_run_id);
CREATE INDEX ix_artifacts_tenant_id ON artifacts (tenant_id);

CREATE TABLE charges (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    day date NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    unpriced_tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(18, 8) DEFAULT 0 NOT NULL,
    CONSTRAINT pk_charges PRIMARY KEY (id),
    CONSTRAINT fk_charges_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_charges_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_charges_project_id_day ON charges (project_id, day);
CREATE INDEX ix_charges_tenant_id ON charges (tenant_id);

CREATE TABLE budget_leases (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    settled uuid NOT NULL,
    tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(18, 8) DEFAULT 0 NOT NULL,
    charged_prompt_tokens bigint DEFAULT 0 NOT NULL,
    charged_completion_tokens bigint DEFAULT 0 NOT NULL,
    charged_cost numeric(18, 8) DEFAULT 0 NOT NULL,
    CONSTRAINT pk_budget_leases PRIMARY KEY (id),
    CONSTRAINT fk_budget_leases_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_leases_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_leases_execution_id FOREIGN KEY (execution_id) REFERENCES executions (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_budget_leases_project_id_execution_id ON budget_leases (project_id, execution_id);
CREATE INDEX ix_budget_leases_project_id_held ON budget_leases (project_id) WHERE tokens > 0 OR cost > 0;
CREATE INDEX ix_budget_leases_execution_id ON budget_leases (execution_id);
CREATE INDEX ix_budget_leases_tenant_id ON budget_leases (tenant_id);
