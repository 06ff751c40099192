-- Back to nothing.

DO $$
BEGIN
    ALTER FUNCTION pg_catalog.texticlike(text, text) NOT LEAKPROOF;
    ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) NOT LEAKPROOF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the functions were never marked';
END
$$;

DROP FUNCTION count_template_use(uuid), readable_template(uuid);

DROP TABLE
    budget_leases, charges, artifacts, execution_events, execution_logs, step_waits, step_runs, executions, webhooks, deployments, templates,
    workflow_versions, workflow_steps, workflows, agent_versions, agents, llm_providers, idempotency_keys, audit_logs,
    workers, key_checks, secrets, api_keys, projects, one_time_tokens, sessions, invitations, memberships, users, tenants;

DROP FUNCTION refuse_change(), set_updated_at();

DROP TYPE
    platform_role, actor_kind, provider_kind, tenant_role, token_purpose, template_type, agent_type, resource_status, environment, deployment_status, health_status, step_type, on_error, trigger_type, execution_status, step_status, log_level;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM turbocat_tenant', current_schema());
EXCEPTION
    WHEN undefined_object THEN
        RAISE NOTICE 'the role turbocat_tenant is gone already';
END
$$;

DO $$
BEGIN
    DROP ROLE IF EXISTS turbocat_tenant;
EXCEPTION
    WHEN dependent_objects_still_exist OR object_in_use OR insufficient_privilege THEN
        RAISE NOTICE 'the role turbocat_tenant stays: another database of the cluster uses it, or it is not ours';
END
$$;

DO $$
BEGIN
    DROP EXTENSION IF EXISTS pg_trgm;
EXCEPTION
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        RAISE NOTICE 'the extension pg_trgm stays: something else uses it, or it is not ours';
END
$$;
