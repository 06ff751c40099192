-- People, tenants and what belongs to them.

CREATE TABLE tenants (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    slug varchar NOT NULL,
    name varchar NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_tenants_slug ON tenants (slug) WHERE deleted_at IS NULL;

CREATE TABLE users (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    email varchar NOT NULL,
    password_hash varchar NOT NULL,
    full_name varchar NOT NULL,
    avatar_url varchar,
    role platform_role DEFAULT 'USER' NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    email_verified_at timestamptz,
    last_login_at timestamptz,
    preferences jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_users_email ON users (lower(email)) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_created_at ON users (created_at);
CREATE INDEX ix_users_role ON users (role);

CREATE TABLE memberships (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    user_id uuid NOT NULL,
    role tenant_role DEFAULT 'VIEWER' NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY (id),
    CONSTRAINT fk_memberships_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_memberships_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_memberships_tenant_id_user_id ON memberships (tenant_id, user_id) WHERE deleted_at IS NULL;
CREATE INDEX ix_memberships_tenant_id ON memberships (tenant_id);
CREATE INDEX ix_memberships_user_id ON memberships (user_id);

CREATE TABLE invitations (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    email varchar NOT NULL,
    role tenant_role DEFAULT 'VIEWER' NOT NULL,
    invited_by uuid,
    token_hash varchar NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_invitations PRIMARY KEY (id),
    CONSTRAINT fk_invitations_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_invitations_invited_by FOREIGN KEY (invited_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX uq_invitations_tenant_id_email ON invitations (tenant_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE UNIQUE INDEX ix_invitations_token_hash ON invitations (token_hash);
CREATE INDEX ix_invitations_invited_by ON invitations (invited_by);
CREATE INDEX ix_invitations_tenant_id ON invitations (tenant_id);

CREATE TABLE sessions (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    family_id uuid NOT NULL,
    refresh_hash varchar NOT NULL,
    ip_address varchar,
    user_agent varchar,
    expires_at timestamptz NOT NULL,
    rotated_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_sessions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_sessions_refresh_hash ON sessions (refresh_hash);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_sessions_family_id ON sessions (family_id);
CREATE INDEX ix_sessions_tenant_id ON sessions (tenant_id);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE TABLE one_time_tokens (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    user_id uuid NOT NULL,
    purpose token_purpose NOT NULL,
    token_hash varchar NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT pk_one_time_tokens PRIMARY KEY (id),
    CONSTRAINT fk_one_time_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_one_time_tokens_token_hash ON one_time_tokens (token_hash);
CREATE INDEX ix_one_time_tokens_user_id ON one_time_tokens (user_id);

CREATE TABLE projects (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    name varchar NOT NULL,
    description varchar,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    budget jsonb DEFAULT '{}'::jsonb NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT fk_projects_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_projects_tenant_id_name ON projects (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX ix_projects_tenant_id ON projects (tenant_id);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    user_id uuid NOT NULL,
    project_id uuid,
    name varchar NOT NULL,
    key_prefix varchar NOT NULL,
    key_hash varchar NOT NULL,
    scopes text[],
    expires_at timestamptz,
    last_used_at timestamptz,
    usage_count bigint DEFAULT 0 NOT NULL,
    rate_limit_per_minute integer,
    revoked_at timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_keys_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_api_keys_key_hash ON api_keys (key_hash);
CREATE INDEX ix_api_keys_expires_at ON api_keys (expires_at);
CREATE INDEX ix_api_keys_key_prefix ON api_keys (key_prefix);
CREATE INDEX ix_api_keys_project_id ON api_keys (project_id);
CREATE INDEX ix_api_keys_tenant_id ON api_keys (tenant_id);
CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);

CREATE TABLE secrets (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamptz,
    project_id uuid,
    name varchar NOT NULL,
    ciphertext bytea NOT NULL,
    nonce bytea NOT NULL,
    key_version integer DEFAULT 1 NOT NULL,
    CONSTRAINT pk_secrets PRIMARY KEY (id),
    CONSTRAINT fk_secrets_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_secrets_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_secrets_tenant_id_project_id_name ON secrets (tenant_id, project_id, name) NULLS NOT DISTINCT WHERE deleted_at IS NULL;
CREATE INDEX ix_secrets_project_id ON secrets (project_id);
CREATE INDEX ix_secrets_tenant_id ON secrets (tenant_id);

CREATE TABLE key_checks (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    key_version integer NOT NULL,
    ciphertext bytea NOT NULL,
    nonce bytea NOT NULL,
    CONSTRAINT pk_key_checks PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_key_checks_key_version ON key_checks (key_version);

CREATE TABLE audit_logs (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid,
    user_id uuid,
    actor actor_kind NOT NULL,
    action varchar NOT NULL,
    resource_type varchar NOT NULL,
    resource_id uuid,
    before jsonb,
    after jsonb,
    ip_address varchar,
    user_agent varchar,
    request_id varchar,
    CONSTRAINT pk_audit_logs PRIMARY KEY (id),
    CONSTRAINT fk_audit_logs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE RESTRICT,
    CONSTRAINT fk_audit_logs_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_audit_logs_action ON audit_logs (action);
CREATE INDEX ix_audit_logs_created_at ON audit_logs (created_at);
CREATE INDEX ix_audit_logs_resource_type_resource_id ON audit_logs (resource_type, resource_id);
CREATE INDEX ix_audit_logs_tenant_id_created_at ON audit_logs (tenant_id, created_at);
CREATE INDEX ix_audit_logs_user_id ON audit_logs (user_id);

CREATE TABLE workers (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    name varchar NOT NULL,
    sandbox varchar,
    languages text[] DEFAULT '{}'::text[] NOT NULL,
    refusal varchar,
    CONSTRAINT pk_workers PRIMARY KEY (id)
);

CREATE TABLE idempotency_keys (
    id uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid NOT NULL,
    user_id uuid,
    project_id uuid,
    key varchar NOT NULL,
    method varchar NOT NULL,
    path varchar NOT NULL,
    body_hash varchar NOT NULL,
    response_status integer,
    response_body bytea,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (id),
    CONSTRAINT fk_idempotency_keys_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_idempotency_keys_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_idempotency_keys_project_id FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_idempotency_keys_user_id_project_id_key_tenant_id ON idempotency_keys (user_id, project_id, key, tenant_id) NULLS NOT DISTINCT;
CREATE INDEX ix_idempotency_keys_project_id ON idempotency_keys (project_id);
CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (expires_at);
CREATE INDEX ix_idempotency_keys_tenant_id ON idempotency_keys (tenant_id);
