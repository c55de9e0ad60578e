-- Tenants are made and removed by operations; what a tenant is (kind), and labels for people and programs.
-- Rules as in V0001. The controller that leads is a row of control.leadership now.

drop table control.controller;

-- When a leader had last brought every database to its version; null while one is at it.
alter table control.leadership add column prepared_at timestamptz;

-- Seconds since the leader last said that it lives; no row while the databases are not of its version. It has another name
-- than its predecessor, so that gateways of this version do not take an older database for ready.
drop function control.controller_seen(text);
create function control.leader_seen(acting text)
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select extract(epoch from clock_timestamp() - l.seen_at)::double precision
    from control.leadership l where l.prepared_at is not null
$$;

-- At most 32 labels; keys like names of tenants, values of up to 63 letters, digits, full stops, hyphens or underscores.
create function control.are_labels(labels jsonb)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_typeof(labels) = 'object'
        and (select count(*) <= 32
                and coalesce(bool_and(
                    l.key ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$' and jsonb_typeof(l.value) = 'string'
                    and l.value #>> '{}' ~ '^[A-Za-z0-9._-]{0,63}$'), true)
             from jsonb_each(case when jsonb_typeof(labels) = 'object' then labels else '{}' end) l)
$$;

alter table control.tenant
    add column kind text not null default 'hospital'
        check (kind in ('bureau', 'hospital', 'clinic', 'pharmacy', 'partner')),
    add column labels jsonb not null default '{}' check (control.are_labels(labels)),
    -- The operation that last made or removed it; null for tenants that are older than operations.
    add column operation uuid,
    drop column attempts;

drop function control.tenants(text, text);
create function control.tenants(acting text, in_id text)
returns table (
    id text, name text, time_zone text, language text, state text, database text, cell text, error text,
    created_at text, kind text, labels text, operation uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select t.id, t.name, t.time_zone, t.language, t.state, t.database, t.cell, t.error,
               to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), t.kind, t.labels::text, t.operation
        from control.tenant t
        where in_id is null or t.id = in_id
        order by t.id;
end
$$;

-- What keeps a tenant from being removed, in words: 'instance web', 'network inside'.
create function control.tenant_dependents(in_id text)
returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select array(
        select 'instance ' || i.name from control.instance i where i.tenant = in_id
        union all
        select 'network ' || n.name from control.network n where n.tenant = in_id
        order by 1)
$$;

-- Called inside the transaction of whoever wants the tenant, with the region acting. What failed before is made again under
-- the name of the same database, so that nothing of it is forgotten.
create function control.create_tenant(
    actor text, in_id text, in_name text, in_time_zone text, in_language text, in_database text, in_cell text,
    in_kind text, in_labels jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    existing control.tenant%rowtype;
    result uuid;
begin
    if in_time_zone !~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]+){1,2})$' then
        raise exception using errcode = 'MC422', message = 'unknown time zone';
    end if;
    begin
        perform now() at time zone in_time_zone;
    exception when invalid_parameter_value then
        raise exception using errcode = 'MC422', message = 'unknown time zone';
    end;
    select * into existing from control.tenant t where t.id = in_id for update;
    if found and existing.state <> 'failed' then
        raise exception using errcode = 'MC409', message = 'the tenant exists already';
    end if;
    if found then
        update control.tenant t
        set name = in_name, time_zone = in_time_zone, language = in_language, kind = in_kind, labels = in_labels,
            state = 'provisioning', error = null, created_by = actor, created_at = now(), changed_at = clock_timestamp()
        where t.id = in_id;
    else
        begin
            insert into control.tenant (id, name, time_zone, language, database, cell, kind, labels, created_by)
            values (in_id, in_name, in_time_zone, in_language, in_database, in_cell, in_kind, in_labels, actor);
        exception when unique_violation then
            raise exception using errcode = 'MC409', message = 'the tenant exists already';
        end;
    end if;
    result := control.begin_operation(
        actor, 'tenant.create', in_id, in_id,
        jsonb_build_object(
            'database', coalesce(existing.database, in_database), 'cell', coalesce(existing.cell, in_cell)),
        in_parent, in_after, interval '10 minutes');
    update control.tenant t set operation = result where t.id = in_id;
    insert into control.action (actor, action, realm, outcome) values (actor, 'tenant.create', in_id, 'accepted');
    return result;
end
$$;

drop function control.create_tenant(text, text, text, text, text, text, text, text);
create function control.create_tenant(
    acting text, actor text, in_id text, in_name text, in_time_zone text, in_language text, in_database text,
    in_cell text, in_kind text, in_labels jsonb)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region creates tenants';
    end if;
    perform set_config('control.acting', acting, true);
    return control.create_tenant(
        actor, in_id, in_name, in_time_zone, in_language, in_database, in_cell, in_kind, in_labels, null, null);
end
$$;

-- Called inside the transaction of whoever wants the tenant gone, with the region acting. A tenant with instances or networks
-- whose deletion was not asked for before is refused (a trigger of theirs). Asking twice is asking once.
create function control.delete_tenant(actor text, in_id text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    existing control.tenant%rowtype;
    making control.operation%rowtype;
    result uuid;
begin
    -- The operation before the tenant, as its end does: always in this order.
    loop
        select * into existing from control.tenant t where t.id = in_id;
        if not found then
            raise exception using errcode = 'MC404', message = 'no such tenant';
        end if;
        select * into making from control.operation o where o.id = existing.operation for update;
        perform from control.tenant t where t.id = in_id and t.operation is not distinct from existing.operation
            and t.state = existing.state for update;
        exit when found;
    end loop;
    if existing.state = 'deleting' then
        return existing.operation;
    end if;
    result := control.begin_operation(
        actor, 'tenant.delete', in_id, in_id,
        jsonb_build_object('database', existing.database, 'cell', existing.cell, 'was', existing.state),
        in_parent, in_after, interval '1 day');
    update control.tenant t
    set state = 'deleting', changed_at = clock_timestamp(), error = null, operation = result
    where t.id = in_id;
    -- What is making it now is stopped; the removal waits for that.
    if making.kind = 'tenant.create' and making.phase = 'queued' then
        perform control.finish_operation(making.id, 'cancelled', null, null);
    elsif making.kind = 'tenant.create' and making.phase = 'running' and making.cancelled_at is null then
        update control.operation o set cancelled_at = clock_timestamp(), message = 'the tenant is being removed'
        where o.id = making.id;
        perform control.record_operation_event(making.id);
    end if;
    perform control.invalidate('tenant', in_id, null, null, now() + interval '10 minutes');
    insert into control.action (actor, action, realm, outcome) values (actor, 'tenant.delete', in_id, 'accepted');
    return result;
end
$$;

drop function control.delete_tenant(text, text, text);
create function control.delete_tenant(acting text, actor text, in_id text)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region deletes tenants';
    end if;
    perform set_config('control.acting', acting, true);
    return control.delete_tenant(actor, in_id, null, null);
end
$$;

-- What becomes of the tenant when its operation ends, in the same transaction.
create function control.settle_tenant()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', 'region', true);
    if new.kind = 'tenant.create' and new.phase = 'succeeded' then
        update control.tenant t set state = 'ready', error = null, changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
    elsif new.kind = 'tenant.create' and new.phase = 'failed' then
        update control.tenant t set state = 'failed', error = new.error_message, changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
    elsif new.kind = 'tenant.create' then
        -- Cancelled: nothing is left of it, and nobody wants it.
        delete from control.tenant t
        where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
    elsif new.phase <> 'succeeded' then
        -- A removal that never began.
        update control.tenant t
        set state = case when new.input ->> 'was' = 'ready' then 'ready' else 'failed' end, error = new.error_message,
            changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'deleting';
    end if;
    insert into control.action (actor, action, realm, outcome)
    values ('controller', new.kind, new.tenant, case when new.phase = 'succeeded' then 'done' else new.phase end);
    return null;
end
$$;
create trigger settle_tenant after update of phase on control.operation
    for each row
    when (new.kind in ('tenant.create', 'tenant.delete') and new.phase in ('succeeded', 'failed', 'cancelled')
          and old.phase is distinct from new.phase)
    execute function control.settle_tenant();

-- Tenants that an earlier version was making or removing get the operation they lack.
do $$
declare
    unfinished record;
    made uuid;
begin
    perform set_config('control.acting', 'region', true);
    for unfinished in select t.* from control.tenant t where t.state in ('provisioning', 'deleting') loop
        made := control.begin_operation(
            unfinished.created_by, case unfinished.state when 'deleting' then 'tenant.delete' else 'tenant.create' end,
            unfinished.id, unfinished.id,
            jsonb_build_object('database', unfinished.database, 'cell', unfinished.cell, 'was', 'failed'),
            null, null, interval '1 day');
        update control.tenant t set operation = made where t.id = unfinished.id;
    end loop;
end
$$;

grant execute on function
    control.leader_seen(text),
    control.tenants(text, text),
    control.create_tenant(text, text, text, text, text, text, text, text, text, jsonb),
    control.delete_tenant(text, text, text)
to medcloud_gateway;
