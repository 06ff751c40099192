-- Times that the database sets, and rows that may not change.

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refuses %: its rows are written once', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON agent_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON workflow_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY[
        'tenants', 'users', 'memberships', 'invitations', 'sessions', 'one_time_tokens', 'projects', 'api_keys', 'secrets', 'key_checks', 'workers',
        'idempotency_keys', 'llm_providers', 'agents', 'workflows', 'workflow_steps', 'templates', 'deployments',
        'webhooks', 'executions', 'step_runs', 'step_waits', 'execution_logs', 'execution_events', 'artifacts',
        'charges', 'budget_leases'
    ] LOOP
        EXECUTE format('CREATE TRIGGER set_updated_at BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION set_updated_at()', target);
    END LOOP;
END
$$;
