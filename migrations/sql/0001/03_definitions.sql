-- What can be run.

CREATE TABLE llm_providers (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    name varchar NOT NULL,
    kind provider_kind NOT NULL,
    base_url varchar,
    credentials bytea,
    models jsonb DEFAULT '[]'::jsonb NOT NULL,
    script jsonb DEFAULT '{}'::jsonb NOT NULL,
    priority integer DEFAULT 100 NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT pk_llm_providers PRIMARY KEY (id),
    CONSTRAINT fk_llm_providers_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_llm_providers_tenant_id_name ON llm_providers (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX ix_llm_providers_tenant_id ON llm_providers (tenant_id);

CREATE TABLE agents (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    user_id uuid NOT NULL,
    project_id uuid,
    parent_id uuid,
    name varchar NOT NULL,
    description varchar,
    type agent_type NOT NULL,
    status resource_status DEFAULT 'DRAFT' NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    input_schema jsonb,
    output_schema jsonb,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    is_public boolean DEFAULT false NOT NULL,
    metrics jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT fk_agents_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_agents_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_agents_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_agents_parent_id FOREIGN KEY (parent_id) REFERENCES agents (id) ON DELETE SET NULL
);
CREATE INDEX ix_agents_created_at ON agents (created_at);
CREATE INDEX ix_agents_description ON agents USING gin (description gin_trgm_ops);
CREATE INDEX ix_agents_is_public ON agents (is_public);
CREATE INDEX ix_agents_name ON agents USING gin (name gin_trgm_ops);
CREATE INDEX ix_agents_parent_id ON agents (parent_id);
CREATE INDEX ix_agents_project_id ON agents (project_id);
CREATE INDEX ix_agents_status ON agents (status);
CREATE INDEX ix_agents_tags ON agents USING gin (tags);
CREATE INDEX ix_agents_tenant_id ON agents (tenant_id);
CREATE INDEX ix_agents_tenant_id_created_at_id ON agents (tenant_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_agents_tenant_id_is_public_user_id ON agents (tenant_id, is_public, user_id) WHERE deleted_at IS NULL;
CREATE INDEX ix_agents_type ON agents (type);
CREATE INDEX ix_agents_user_id ON agents (user_id);

CREATE TABLE agent_versions (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    version integer NOT NULL,
    snapshot jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_by uuid,
    CONSTRAINT pk_agent_versions PRIMARY KEY (id),
    CONSTRAINT fk_agent_versions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_agent_versions_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE,
    CONSTRAINT fk_agent_versions_created_by FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX uq_agent_versions_agent_id_version ON agent_versions (agent_id, version);
CREATE INDEX ix_agent_versions_created_by ON agent_versions (created_by);
CREATE INDEX ix_agent_versions_tenant_id ON agent_versions (tenant_id);

CREATE TABLE workflows (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    user_id uuid NOT NULL,
    project_id uuid,
    parent_id uuid,
    name varchar NOT NULL,
    slug varchar NOT NULL,
    description varchar,
    status resource_status DEFAULT 'DRAFT' NOT NULL,
    input_schema json,
    output jsonb,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    schedule_enabled boolean DEFAULT false NOT NULL,
    schedule_cron varchar,
    schedule_interval_seconds integer,
    schedule_timezone varchar,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    is_public boolean DEFAULT false NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    prefect_deployment_ids jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_workflows PRIMARY KEY (id),
    CONSTRAINT fk_workflows_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_workflows_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_workflows_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_workflows_parent_id FOREIGN KEY (parent_id) REFERENCES workflows (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX uq_workflows_tenant_id_slug ON workflows (tenant_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX ix_workflows_created_at ON workflows (created_at);
CREATE INDEX ix_workflows_name ON workflows USING gin (name gin_trgm_ops);
CREATE INDEX ix_workflows_parent_id ON workflows (parent_id);
CREATE INDEX ix_workflows_project_id ON workflows (project_id);
CREATE INDEX ix_workflows_schedule_enabled ON workflows (schedule_enabled);
CREATE INDEX ix_workflows_status ON workflows (status);
CREATE INDEX ix_workflows_tags ON workflows USING gin (tags);
CREATE INDEX ix_workflows_tenant_id ON workflows (tenant_id);
CREATE INDEX ix_workflows_tenant_id_created_at ON workflows (tenant_id, created_at);
CREATE INDEX ix_workflows_user_id ON workflows (user_id);

CREATE TABLE workflow_steps (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    step_key varchar NOT NULL,
    parent_step_key varchar,
    name varchar NOT NULL,
    type step_type DEFAULT 'AGENT' NOT NULL,
    agent_id uuid,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    inputs jsonb DEFAULT '{}'::jsonb NOT NULL,
    depends_on text[] DEFAULT '{}'::text[] NOT NULL,
    position integer DEFAULT 0 NOT NULL,
    on_error on_error DEFAULT 'FAIL' NOT NULL,
    retry jsonb,
    timeout_seconds double precision,
    CONSTRAINT pk_workflow_steps PRIMARY KEY (id),
    CONSTRAINT fk_workflow_steps_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_workflow_steps_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE,
    CONSTRAINT fk_workflow_steps_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX uq_workflow_steps_workflow_id_parent_step_key_step_key ON workflow_steps (workflow_id, parent_step_key, step_key) NULLS NOT DISTINCT;
CREATE INDEX ix_workflow_steps_agent_id ON workflow_steps (agent_id);
CREATE INDEX ix_workflow_steps_position ON workflow_steps (position);
CREATE INDEX ix_workflow_steps_tenant_id ON workflow_steps (tenant_id);

CREATE TABLE workflow_versions (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    version integer NOT NULL,
    definition jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_by uuid,
    CONSTRAINT pk_workflow_versions PRIMARY KEY (id),
    CONSTRAINT fk_workflow_versions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_workflow_versions_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE,
    CONSTRAINT fk_workflow_versions_created_by FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX uq_workflow_versions_workflow_id_version ON workflow_versions (workflow_id, version);
CREATE INDEX ix_workflow_versions_created_by ON workflow_versions (created_by);
CREATE INDEX ix_workflow_versions_tenant_id ON workflow_versions (tenant_id);

CREATE TABLE templates (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    tenant_id uuid,
    user_id uuid,
    name varchar NOT NULL,
    description varchar,
    category varchar NOT NULL,
    type template_type NOT NULL,
    definition jsonb DEFAULT '{}'::jsonb NOT NULL,
    parameters jsonb,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    is_official boolean DEFAULT false NOT NULL,
    is_public boolean DEFAULT false NOT NULL,
    usage_count bigint DEFAULT 0 NOT NULL,
    rating numeric(3, 2),
    CONSTRAINT pk_templates PRIMARY KEY (id),
    CONSTRAINT ck_templates_owner CHECK (is_official OR tenant_id IS NOT NULL),
    CONSTRAINT fk_templates_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_templates_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_templates_category ON templates (category);
CREATE INDEX ix_templates_is_official ON templates (is_official);
CREATE INDEX ix_templates_is_public ON templates (is_public);
CREATE INDEX ix_templates_tags ON templates USING gin (tags);
CREATE INDEX ix_templates_tenant_id ON templates (tenant_id);
CREATE INDEX ix_templates_type ON templates (type);
CREATE INDEX ix_templates_usage_count ON templates (usage_count);
CREATE INDEX ix_templates_user_id ON templates (user_id);

CREATE TABLE deployments (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    user_id uuid NOT NULL,
    workflow_id uuid,
    agent_id uuid,
    name varchar NOT NULL,
    environment environment DEFAULT 'DEVELOPMENT' NOT NULL,
    status deployment_status DEFAULT 'STOPPED' NOT NULL,
    health_status health_status DEFAULT 'UNKNOWN' NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    env_vars bytea,
    schedule_enabled boolean DEFAULT false NOT NULL,
    schedule_cron varchar,
    schedule_interval_seconds integer,
    schedule_timezone varchar,
    concurrency_limit integer,
    last_deployed_at timestamptz,
    status_reason varchar,
    prefect_deployment_id uuid,
    CONSTRAINT pk_deployments PRIMARY KEY (id),
    CONSTRAINT ck_deployments_one_target CHECK (num_nonnulls(workflow_id, agent_id) = 1),
    CONSTRAINT fk_deployments_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_deployments_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_deployments_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE,
    CONSTRAINT fk_deployments_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE
);
CREATE INDEX ix_deployments_agent_id ON deployments (agent_id);
CREATE INDEX ix_deployments_environment ON deployments (environment);
CREATE INDEX ix_deployments_status ON deployments (status);
CREATE INDEX ix_deployments_tenant_id ON deployments (tenant_id);
CREATE INDEX ix_deployments_user_id ON deployments (user_id);
CREATE INDEX ix_deployments_workflow_id ON deployments (workflow_id);

CREATE TABLE webhooks (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    workflow_id uuid NOT NULL,
    token_hash varchar NOT NULL,
    secret bytea,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (id),
    CONSTRAINT fk_webhooks_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_webhooks_workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_webhooks_token_hash ON webhooks (token_hash);
CREATE INDEX ix_webhooks_tenant_id ON webhooks (tenant_id);
CREATE INDEX ix_webhooks_workflow_id ON webhooks (workflow_id);
