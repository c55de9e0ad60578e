-- Answers by Idempotency-Key, and what the gateway's role may do.

-- Claims a key for the running transaction. state: 'new' (go on, then remember), 'replay' (answer with what is returned),
-- 'mismatch' (the key was used with another body), 'busy' (another transaction holds it now).
create function medcloud.claim_answer(p_client text, p_key text, p_method text, p_path text, p_body_hash bytea)
returns table (state text, status int4, headers text, body text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_known medcloud.idempotency;
begin
    if not pg_try_advisory_xact_lock(
        hashtextextended(concat_ws(e'\x1f', p_client, p_key, p_method, p_path), 7345)) then
        return query select 'busy', 0, '', '';
        return;
    end if;
    select * into v_known
    from medcloud.idempotency i
    where i.client = p_client and i.key = p_key and i.method = p_method and i.path = p_path;
    if not found then
        return query select 'new', 0, '', '';
    elsif v_known.body_hash <> p_body_hash then
        return query select 'mismatch', 0, '', '';
    else
        return query select 'replay', v_known.status, v_known.headers, v_known.body;
    end if;
end
$$;

-- Stores the answer of the running transaction under the key it claimed, and now and then drops some that are older than a
-- day: nobody else tidies up.
create function medcloud.remember_answer(
    p_client text, p_key text, p_method text, p_path text, p_body_hash bytea, p_status int4, p_headers text, p_body text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into medcloud.idempotency (client, key, method, path, body_hash, status, headers, body)
    values (p_client, p_key, p_method, p_path, p_body_hash, p_status, p_headers, p_body);
    if random() < 0.01 then
        delete from medcloud.idempotency i
        using (
            select o.client, o.key, o.method, o.path
            from medcloud.idempotency o
            where o.created_at < medcloud.now() - interval '1 day'
            limit 1000
            for update skip locked
        ) old
        where i.client = old.client and i.key = old.key and i.method = old.method and i.path = old.path;
    end if;
end
$$;

revoke all on schema public from public;
revoke all on all functions in schema fhir, medcloud from public;

-- The gateway's roles are members of the group role medcloud_tenant, which the controller makes once per cluster.
do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'medcloud_tenant') then
        grant usage on schema fhir, audit, medcloud to medcloud_tenant;
        grant select on all tables in schema fhir to medcloud_tenant;
        grant select, insert on audit.event to medcloud_tenant;
        grant execute on all functions in schema fhir to medcloud_tenant;
        grant execute on function medcloud.now() to medcloud_tenant;
        grant execute on function medcloud.claim_answer(text, text, text, text, bytea) to medcloud_tenant;
        grant execute on function medcloud.remember_answer(text, text, text, text, bytea, int4, text, text)
            to medcloud_tenant;
    end if;
end
$$;
