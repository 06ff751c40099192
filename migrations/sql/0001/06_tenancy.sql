-- Tenants kept apart: a role that owns nothing, what it may touch, and a policy on each table.
--
-- Roles belong to the whole cluster: another database may have made this one before, or be making it now.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'turbocat_tenant') THEN
        CREATE ROLE turbocat_tenant NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        RAISE NOTICE 'the role turbocat_tenant has just been made by another migration';
END
$$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'turbocat_tenant', 'MEMBER') THEN
        EXECUTE format('GRANT turbocat_tenant TO %I', current_user);
    END IF;
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO turbocat_tenant', current_schema());
END
$$;

-- Without a bound tenant the setting is NULL or empty: NULL equals nothing.

DO $$
DECLARE
    target text;
    bound CONSTANT text := 'tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid';
BEGIN
    FOREACH target IN ARRAY ARRAY[
        'memberships', 'invitations', 'projects', 'api_keys', 'secrets', 'audit_logs', 'idempotency_keys',
        'llm_providers', 'agents', 'agent_versions', 'workflows', 'workflow_steps', 'workflow_versions', 'templates',
        'deployments', 'webhooks',
        'executions', 'step_runs', 'step_waits', 'execution_logs', 'execution_events', 'artifacts',
        'charges', 'budget_leases'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY tenant ON %I TO turbocat_tenant USING (%s) WITH CHECK (%s)', target, bound, bound);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO turbocat_tenant', target);
    END LOOP;
END
$$;

REVOKE UPDATE, DELETE ON audit_logs FROM turbocat_tenant;
REVOKE UPDATE ON agent_versions, workflow_versions FROM turbocat_tenant;

-- Something may be made of a public template of another tenant, in the transaction of who makes it.
CREATE FUNCTION readable_template(wanted uuid) RETURNS SETOF templates LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT * FROM templates
    WHERE id = wanted
        AND deleted_at IS NULL
        AND (is_public OR tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
$$;
REVOKE ALL ON FUNCTION readable_template(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION readable_template(uuid) TO turbocat_tenant;

-- A template of another tenant counts its uses too, in the transaction of who uses it.
CREATE FUNCTION count_template_use(used uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE templates SET usage_count = usage_count + 1
    WHERE id = used
        AND deleted_at IS NULL
        AND (is_public OR tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
$$;
REVOKE ALL ON FUNCTION count_template_use(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_template_use(uuid) TO turbocat_tenant;

-- A tenant sees its own row.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenants TO turbocat_tenant USING (id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, UPDATE (name, settings, version) ON tenants TO turbocat_tenant;

-- A tenant sees its members' profiles: never the password's hash, nor the state of the login lock.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON users TO turbocat_tenant
    USING (EXISTS (
        SELECT FROM memberships
        WHERE memberships.user_id = users.id
            AND memberships.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid
            AND memberships.deleted_at IS NULL
    ));
GRANT
    SELECT (
        id, email, full_name, avatar_url, role, is_active, email_verified_at, last_login_at, preferences, version,
        created_at, updated_at, deleted_at
    ),
    UPDATE (full_name, avatar_url, preferences, version)
    ON users TO turbocat_tenant;

-- Tokens, sessions and the checks of keys are the system's alone, also where the owner grants rights by default.
REVOKE ALL ON sessions, one_time_tokens, key_checks FROM turbocat_tenant, PUBLIC;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE one_time_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_checks ENABLE ROW LEVEL SECURITY;

-- Workers serve every tenant: each may know which sandboxes there are, and nobody's host.
REVOKE ALL ON workers FROM turbocat_tenant, PUBLIC;
ALTER TABLE workers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON workers FOR SELECT TO turbocat_tenant USING (true);
GRANT SELECT (updated_at, sandbox, languages, refusal) ON workers TO turbocat_tenant;
