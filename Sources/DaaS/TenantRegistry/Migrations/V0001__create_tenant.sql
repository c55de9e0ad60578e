-- The control database: tenants, what caches must forget, and who asked for what.
-- Runs as medcloud_owner. Every table holds rows of several tenants, so its owner is bound by row security too:
-- a function names the acting tenant in the setting control.acting ('region' is the operator), for its own duration.

create schema control;
alter default privileges revoke execute on functions from public;
grant usage on schema control to medcloud_gateway;

create table control.tenant (
    id text collate "C" primary key
        check (id ~ '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$' and id <> 'region'),
    name text not null check (length(name) between 1 and 200),
    time_zone text not null,
    language text not null check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$'),
    state text not null default 'provisioning'
        check (state in ('provisioning', 'ready', 'deleting', 'failed')),
    database text collate "C" not null unique check (database ~ '^t_[a-z2-7]{26}$'),
    cell text not null check (cell ~ '^cell-[0-9]{1,4}$'),
    attempts integer not null default 0,
    error text,
    created_by text not null,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
alter table control.tenant enable row level security;
alter table control.tenant force row level security;
create policy acting on control.tenant
    using (current_setting('control.acting', true) in (id, 'region'))
    with check (current_setting('control.acting', true) in (id, 'region'));

-- What every worker must forget: a revoked token, a disabled client, a tenant that is going away.
create table control.invalidation (
    seq bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    kind text not null check (kind in ('token', 'client', 'tenant')),
    realm text collate "C" not null,
    client text collate "C",
    token text collate "C",
    expires_at timestamptz not null
);
alter table control.invalidation enable row level security;
alter table control.invalidation force row level security;
create policy acting on control.invalidation
    using (current_setting('control.acting', true) in (realm, 'region'))
    with check (current_setting('control.acting', true) in (realm, 'region'));

-- Control actions, append-only.
create table control.action (
    seq bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    action text not null,
    realm text collate "C" not null,
    subject text,
    outcome text not null
);
alter table control.action enable row level security;
alter table control.action force row level security;
create policy acting on control.action
    using (current_setting('control.acting', true) in (realm, 'region'))
    with check (current_setting('control.acting', true) in (realm, 'region'));

-- One row: the controller that leads. The gateway shows it as part of its readiness.
create table control.controller (
    one boolean primary key default true check (one),
    version text not null,
    process integer not null,
    started_at timestamptz not null,
    seen_at timestamptz not null
);

-- Rows become visible in the order of seq: the lock is held until commit, so a reader that has seen seq n has seen
-- every row below n.
create function control.invalidate(in_kind text, in_realm text, in_client text, in_token text, in_expires timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    result bigint;
begin
    perform pg_advisory_xact_lock(7061001);
    insert into control.invalidation (kind, realm, client, token, expires_at)
    values (in_kind, in_realm, in_client, in_token, in_expires)
    returning seq into result;
    perform pg_notify('control_invalidation', result::text);
    return result;
end
$$;

create function control.invalidations(acting text, after_seq bigint)
returns table (seq bigint, at_seconds bigint, kind text, realm text, client text, token text, expires_seconds bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select i.seq, ceil(extract(epoch from i.at))::bigint, i.kind, i.realm, i.client, i.token,
               ceil(extract(epoch from i.expires_at))::bigint
        from control.invalidation i
        where i.seq > after_seq and i.expires_at > now()
        order by i.seq;
end
$$;

create function control.tenants(acting text, in_id text)
returns table (id text, name text, time_zone text, language text, state text, database text, cell text, error text,
               created_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select t.id, t.name, t.time_zone, t.language, t.state, t.database, t.cell, t.error,
               to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.tenant t
        where in_id is null or t.id = in_id
        order by t.id;
end
$$;

create function control.create_tenant(
    acting text, actor text, in_id text, in_name text, in_time_zone text, in_language text, in_database text,
    in_cell text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region creates tenants';
    end if;
    perform set_config('control.acting', acting, true);
    if in_time_zone !~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]+){1,2})$' then
        raise exception using errcode = 'MC422', message = 'unknown time zone';
    end if;
    begin
        perform now() at time zone in_time_zone;
    exception when invalid_parameter_value then
        raise exception using errcode = 'MC422', message = 'unknown time zone';
    end;
    begin
        insert into control.tenant (id, name, time_zone, language, database, cell, created_by)
        values (in_id, in_name, in_time_zone, in_language, in_database, in_cell, actor);
    exception when unique_violation then
        raise exception using errcode = 'MC409', message = 'the tenant exists already';
    end;
    insert into control.action (actor, action, realm, outcome) values (actor, 'tenant.create', in_id, 'accepted');
    perform pg_notify('control_tenant', in_id);
end
$$;

create function control.delete_tenant(acting text, actor text, in_id text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    was text;
begin
    if acting <> 'region' then
        raise exception using errcode = 'MC403', message = 'only the region deletes tenants';
    end if;
    perform set_config('control.acting', acting, true);
    select t.state into was from control.tenant t where t.id = in_id for update;
    if was is null then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    if was = 'deleting' then
        return;
    end if;
    update control.tenant set state = 'deleting', changed_at = clock_timestamp(), error = null, attempts = 0
    where id = in_id;
    perform control.invalidate('tenant', in_id, null, null, now() + interval '10 minutes');
    insert into control.action (actor, action, realm, outcome) values (actor, 'tenant.delete', in_id, 'accepted');
    perform pg_notify('control_tenant', in_id);
end
$$;

create function control.controller_seen(acting text)
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select extract(epoch from clock_timestamp() - c.seen_at)::double precision from control.controller c
$$;

grant execute on function
    control.invalidations(text, bigint),
    control.tenants(text, text),
    control.create_tenant(text, text, text, text, text, text, text, text),
    control.delete_tenant(text, text, text),
    control.controller_seen(text)
to medcloud_gateway;
