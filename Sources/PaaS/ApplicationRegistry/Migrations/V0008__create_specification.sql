-- What is asked for of every tenant, as one document with a revision, and one function that changes it by a plan. The document
-- is read from the rows that the platform works by (tenants, clients, quotas, networks, instances): there is no second truth.
-- Rules as in V0001: row security binds the owner, functions name the acting tenant, the gateway may only call functions.

-- Counts the transactions that changed the document. They take this row last, at their commit, so they never wait for each
-- other in a circle.
create table control.specification_revision (
    one boolean primary key default true check (one),
    revision bigint not null
);
insert into control.specification_revision (revision) values (1);
alter table control.specification_revision enable row level security;
alter table control.specification_revision force row level security;
create policy acting on control.specification_revision
    using (current_setting('control.acting', true) = 'region')
    with check (current_setting('control.acting', true) = 'region');

create function control.revise_specification()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = 'region'
as $$
begin
    if current_setting('control.revised', true) is distinct from pg_current_xact_id()::text then
        update control.specification_revision set revision = revision + 1;
        perform set_config('control.revised', pg_current_xact_id()::text, true);
    end if;
    return null;
end
$$;

-- Whether a tenant is asked for: one that failed is not there, so that asking again makes it again.
create function control.is_specified(t control.tenant)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select t.state in ('provisioning', 'ready')
$$;

create constraint trigger revise_specification_insert after insert on control.tenant
    deferrable initially deferred for each row execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.tenant
    deferrable initially deferred for each row
    when ((old.name, old.time_zone, old.language, old.kind, old.labels, control.is_specified(old))
          is distinct from (new.name, new.time_zone, new.language, new.kind, new.labels, control.is_specified(new)))
    execute function control.revise_specification();
create constraint trigger revise_specification_delete after delete on control.tenant
    deferrable initially deferred for each row when (control.is_specified(old))
    execute function control.revise_specification();

-- Clients that belong to no tenant are the region's own; nobody specifies them.
create constraint trigger revise_specification_insert after insert on control.client
    deferrable initially deferred for each row when (coalesce(new.tenant, new.institution) is not null)
    execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.client
    deferrable initially deferred for each row
    when (coalesce(new.tenant, new.institution) is not null
          and (old.name, old.kind, old.keys, old.key_set_url, old.scopes, old.origins, old.disabled_at is null)
          is distinct from (new.name, new.kind, new.keys, new.key_set_url, new.scopes, new.origins, new.disabled_at is null))
    execute function control.revise_specification();

create constraint trigger revise_specification_insert after insert on control.pool
    deferrable initially deferred for each row execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.pool
    deferrable initially deferred for each row when (old.drift_policy <> new.drift_policy)
    execute function control.revise_specification();

create constraint trigger revise_specification_insert after insert on control.quota
    deferrable initially deferred for each row execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.quota
    deferrable initially deferred for each row when (old.maximum <> new.maximum)
    execute function control.revise_specification();

create constraint trigger revise_specification_insert after insert on control.network
    deferrable initially deferred for each row execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.network
    deferrable initially deferred for each row
    when ((old.cidr, old.state = 'deleting') is distinct from (new.cidr, new.state = 'deleting'))
    execute function control.revise_specification();
create constraint trigger revise_specification_delete after delete on control.network
    deferrable initially deferred for each row when (old.state <> 'deleting')
    execute function control.revise_specification();

create constraint trigger revise_specification_insert after insert on control.instance
    deferrable initially deferred for each row execute function control.revise_specification();
create constraint trigger revise_specification_update after update on control.instance
    deferrable initially deferred for each row
    when ((old.vcpus, old.memory, old.disk, old.ssh_keys, old.running, old.probe, old.probe_deadline,
           old.state = 'deleting')
          is distinct from
          (new.vcpus, new.memory, new.disk, new.ssh_keys, new.running, new.probe, new.probe_deadline,
           new.state = 'deleting'))
    execute function control.revise_specification();
create constraint trigger revise_specification_delete after delete on control.instance
    deferrable initially deferred for each row when (old.state <> 'deleting')
    execute function control.revise_specification();

-- One tenant in the canonical form of a specification. json, not jsonb: keys stay as they were registered.
create function control.tenant_specification(t control.tenant)
returns json
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'clients', (
            select coalesce(json_agg(json_build_object(
                'disabled', c.disabled_at is not null, 'id', c.id,
                'keys', case when c.key_set_url is null then json_build_object('jwks', c.keys::json)
                             else json_build_object('jwks', c.keys::json, 'keySetURL', c.key_set_url) end,
                'kind', c.kind, 'name', c.name, 'origins', c.origins,
                'realm', case when c.tenant is null then 'region' else 'tenant' end, 'scopes', c.scopes) order by c.id), '[]')
            from control.client c where c.tenant = t.id or c.institution = t.id),
        'driftPolicy', coalesce((select p.drift_policy from control.pool p where p.tenant = t.id), 'report'),
        'id', t.id,
        'instances', (
            select coalesce(json_agg(control.instance_spec(i) order by i.name), '[]')
            from control.instance i where i.tenant = t.id and i.state <> 'deleting'),
        'kind', t.kind,
        'labels', t.labels,
        'language', t.language,
        'name', t.name,
        'networks', (
            select coalesce(json_agg(json_build_object('cidr', n.cidr, 'name', n.name) order by n.name), '[]')
            from control.network n where n.tenant = t.id and n.state <> 'deleting'),
        'quota', (
            select coalesce(json_object_agg(q.dimension, q.maximum), '{}') from control.quota q where q.tenant = t.id),
        'timeZone', t.time_zone)
$$;

-- Every tenant's specification, by id, with the revision they have together.
create function control.specification(acting text)
returns table (revision bigint, specifications text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region sees every tenant''s specification';
    end if;
    perform set_config('control.acting', acting, true);
    return query
        select r.revision,
               (select coalesce(json_agg(control.tenant_specification(t) order by t.id), '[]')::text
                from control.tenant t where control.is_specified(t))
        from control.specification_revision r;
end
$$;

-- MARK: Changing it

-- Kind, name, time zone, language, labels, drift policy.
create function control.update_tenant(actor text, in_id text, head jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    begin
        perform now() at time zone (head ->> 'timeZone');
    exception when invalid_parameter_value then
        raise exception using errcode = 'MC422', message = 'unknown time zone';
    end;
    update control.tenant t
    set kind = head ->> 'kind', name = head ->> 'name', time_zone = head ->> 'timeZone', language = head ->> 'language',
        labels = head -> 'labels'
    where t.id = in_id and control.is_specified(t);
    if not found then
        raise exception using errcode = 'MC409', message = 'the tenant is being removed';
    end if;
    if head ->> 'driftPolicy' is distinct from
        coalesce((select p.drift_policy from control.pool p where p.tenant = in_id), 'report') then
        perform control.set_drift_policy(actor, in_id, head ->> 'driftPolicy');
    end if;
    insert into control.action (actor, action, realm, outcome) values (actor, 'tenant.update', in_id, 'done');
end
$$;

-- Registers a client, or makes one that is there so. Tokens that were given before end when the client may do less or has
-- other keys.
create function control.put_client(actor text, in_tenant text, client jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    in_realm constant text := case client ->> 'realm' when 'region' then 'region' else in_tenant end;
    callers constant text[] := array(select jsonb_array_elements_text(client -> 'origins'));
    disable constant boolean := (client ->> 'disabled')::boolean;
    present control.client%rowtype;
begin
    select * into present from control.client c
    where c.realm = in_realm and c.id = client ->> 'id' and coalesce(c.tenant, c.institution) = in_tenant
    for update;
    if not found then
        perform control.create_client(
            'region', actor, in_realm, client ->> 'id', client ->> 'name', client ->> 'kind', client ->> 'keys',
            client ->> 'keySetURL', client ->> 'scopes', callers, case in_realm when 'region' then in_tenant end);
        if disable then
            perform control.disable_client('region', actor, in_realm, client ->> 'id');
        end if;
        return;
    end if;
    update control.client c
    set name = client ->> 'name', kind = client ->> 'kind', keys = coalesce(client ->> 'keys', c.keys),
        key_set_url = client ->> 'keySetURL', scopes = client ->> 'scopes', origins = callers,
        disabled_at = case when disable then coalesce(c.disabled_at, clock_timestamp()) end
    where c.realm = in_realm and c.id = present.id;
    if (present.kind, present.keys, present.key_set_url, present.scopes) is distinct from
       (client ->> 'kind', coalesce(client ->> 'keys', present.keys), client ->> 'keySetURL', client ->> 'scopes')
       or disable and present.disabled_at is null then
        perform control.invalidate('client', in_realm, present.id, null, now() + interval '10 minutes');
    end if;
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'client.update', in_realm, present.id, 'done');
end
$$;

-- One step of a plan; the operation it begins, or null when it is done at once. `begun` are the operations of the plan so
-- far, by step, tenant and name: 'create-network h1 lan'.
create function control.apply_step(actor text, step jsonb, in_parent uuid, begun jsonb)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    place constant text := step ->> 'tenant';
    thing constant text := step ->> 'name';
    wanted constant jsonb := step -> 'value';
    made uuid;
    after uuid[];
begin
    -- What it waits for: its tenant, what had its name before, and for an end the ends of what is inside.
    select array_agg(b.value::uuid) into after
    from jsonb_each_text(begun) as b
    where b.key = 'create-tenant ' || place
       or b.key = case step ->> 'do'
                  when 'create-network' then 'delete-network ' || place || ' ' || thing
                  when 'create-instance' then 'delete-instance ' || place || ' ' || thing
                  end
       or (step ->> 'do' = 'create-instance' and b.key = 'create-network ' || place || ' ' || (wanted ->> 'network'))
       or (step ->> 'do' = 'delete-network' and starts_with(b.key, 'delete-instance ' || place || ' '))
       or (step ->> 'do' = 'delete-tenant' and (starts_with(b.key, 'delete-instance ' || place || ' ')
                                                or starts_with(b.key, 'delete-network ' || place || ' ')));
    case step ->> 'do'
        when 'create-tenant' then
            made := control.create_tenant(
                actor, place, wanted ->> 'name', wanted ->> 'timeZone', wanted ->> 'language', step ->> 'database',
                step ->> 'cell', wanted ->> 'kind', wanted -> 'labels', in_parent, null);
            if wanted ->> 'driftPolicy' <> 'report' then
                perform control.set_drift_policy(actor, place, wanted ->> 'driftPolicy');
            end if;
            return made;
        when 'update-tenant' then
            perform control.update_tenant(actor, place, wanted);
        when 'set-quota' then
            perform control.set_quota(actor, place, wanted);
        when 'put-client' then
            perform control.put_client(actor, place, wanted);
        when 'disable-client' then
            perform control.disable_client(
                'region', actor, case wanted ->> 'realm' when 'region' then 'region' else place end, thing);
        when 'create-network' then
            return control.create_network(actor, place, wanted, in_parent, after);
        when 'delete-network' then
            return control.delete_network(actor, place, thing, in_parent, after);
        when 'create-instance' then
            return control.create_instance(actor, place, wanted, in_parent, after);
        when 'update-instance' then
            return control.update_instance(actor, place, wanted, in_parent, after);
        when 'delete-instance' then
            return control.delete_instance(actor, place, thing, in_parent, after);
        when 'delete-tenant' then
            return control.delete_tenant(actor, place, in_parent, after);
        else
            raise exception using errcode = 'MC422', message = 'a step that is not known here';
    end case;
    return null;
end
$$;

-- Carries out all steps of a plan that was made at `in_revision`, or none of them: MCOLD when something has changed since.
-- A step that is refused says where in HINT, as a JSON pointer that begins with the tenant. Returns the operation whose parts
-- are the operations of the steps.
create function control.apply(acting text, actor text, in_revision bigint, in_hash text, in_steps jsonb)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    whole uuid;
    step jsonb;
    made uuid;
    begun jsonb := '{}';
    refusal text;
    reason text;
    more text;
    broken text;
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region applies specifications';
    end if;
    perform set_config('control.acting', acting, true);
    -- One plan at a time, so that two of them never wait for each other in a circle.
    perform pg_advisory_xact_lock(7061003);
    perform from control.specification_revision r where r.revision = in_revision;
    if not found then
        raise exception using errcode = 'MCOLD', message = 'the region has changed since the plan was made';
    end if;
    whole := control.begin_operation(
        actor, 'apply', null, '', jsonb_build_object('revision', in_revision, 'planHash', in_hash), null, null,
        interval '1 day');
    for step in select value from jsonb_array_elements(in_steps) with ordinality as s (value, position) order by position loop
        begin
            made := control.apply_step(actor, step, whole, begun);
        exception when others then
            get stacked diagnostics refusal = returned_sqlstate, reason = message_text, more = pg_exception_detail,
                broken = constraint_name;
            raise exception using errcode = refusal, message = reason, detail = more, constraint = broken,
                hint = '/' || (step ->> 'tenant') || coalesce(step ->> 'path', '');
        end;
        if made is not null then
            begun := begun || jsonb_build_object(
                concat_ws(' ', step ->> 'do', step ->> 'tenant', step ->> 'name'), made);
        end if;
    end loop;
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'apply', 'region', in_hash, 'accepted');
    -- Last, as every other change does it at its commit: whoever changed something meanwhile is waited for, and counts.
    update control.specification_revision r set revision = r.revision + 1 where r.revision = in_revision;
    if not found then
        raise exception using errcode = 'MCOLD', message = 'the region has changed since the plan was made';
    end if;
    perform set_config('control.revised', pg_current_xact_id()::text, true);
    return whole;
end
$$;

grant execute on function
    control.specification(text),
    control.apply(text, text, bigint, text, jsonb)
to medcloud_gateway;
