-- What is shown of machines counts only as long as the hypervisor is looked at; databases and roles that no row names are
-- reported as those of the host are; lists come in pages. Rules as in V0006.

-- A region that runs without compute keeps the row: what it says was so once.
alter table control.host add column is_present boolean not null default true;

-- When the controller has last compared all instances with the host: one row, once it has.
create table control.inspection (
    one boolean primary key default true check (one),
    at timestamptz not null
);
alter table control.inspection enable row level security;
alter table control.inspection force row level security;
create policy acting on control.inspection using (current_setting('control.acting', true) <> '');

-- Who looks: the hypervisor's reconciler, or the one of the cells.
alter table control.drift add column area text not null default 'compute' check (area in ('compute', 'databases'));

create or replace function control.require_compute()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from control.host h where h.is_present) then
        raise exception using errcode = 'MCHST', message = 'this region runs without compute';
    end if;
end
$$;

-- When the host was last looked at, and whether what was seen then is still known to be so.
create function control.last_inspection()
returns table (at timestamptz, is_known boolean, has_compute boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select i.at, coalesce(h.is_present and i.at > clock_timestamp() - interval '1 minute', false),
           coalesce(h.is_present, false)
    from (values (true)) as always (one)
    left join control.inspection i on i.one
    left join control.host h on h.one
$$;

-- A page of instances by name, those after `in_after`; or the one of this name.
drop function control.instances(text, text, text);
create function control.instances(acting text, in_tenant text, in_name text, in_after text, in_limit integer)
returns table (id uuid, name text, spec jsonb, mac text, address text, state text, observed text, ready boolean, reason text,
               restarts integer, operation uuid, created_at text, changed_at text, seen_at text, is_known boolean,
               has_compute boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not exists (select from control.tenant t where t.id = in_tenant) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    return query
        select i.id, i.name, control.instance_spec(i), i.mac::text, host(i.address), i.state, i.observed, i.ready, i.reason,
               i.restarts, i.operation,
               to_char(i.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               to_char(i.changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               to_char(l.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), l.is_known, l.has_compute
        from control.instance i cross join control.last_inspection() l
        where i.tenant = in_tenant and not i.is_replaced and (in_name is null or i.name = in_name)
          and (in_after is null or i.name > in_after)
        order by i.name
        limit in_limit;
end
$$;

-- The same for networks.
drop function control.networks(text, text, text);
create function control.networks(acting text, in_tenant text, in_name text, in_after text, in_limit integer)
returns table (name text, cidr text, state text, reason text, operation uuid, instances bigint, created_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not exists (select from control.tenant t where t.id = in_tenant) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    return query
        select n.name, n.cidr::text, n.state, n.reason, n.operation,
               (select count(*) from control.instance i where i.network = n.id),
               to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.network n
        where n.tenant = in_tenant and not n.is_replaced and (in_name is null or n.name = in_name)
          and (in_after is null or n.name > in_after)
        order by n.name
        limit in_limit;
end
$$;

drop function control.images(text);
create function control.images(acting text, in_after text, in_limit integer)
returns table (name text, disk bigint, memory bigint, sha256 text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select m.name, m.disk, m.memory, m.sha256 from control.image m
        where in_after is null or m.name > in_after
        order by m.name
        limit in_limit;
end
$$;

-- By realm and resource, those after `in_after`: realm, resource, kind.
drop function control.drifts(text);
create function control.drifts(acting text, in_after text[], in_limit integer)
returns table (tenant text, resource text, kind text, name text, expected text, found text, action text, since text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select d.tenant, d.resource, d.kind, coalesce(d.name, d.resource), d.expected, d.found, d.action,
               to_char(d.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.drift d
        where in_after is null
           or (d.realm, d.resource, d.kind collate "C") > (in_after[1], in_after[2], in_after[3])
        order by d.realm, d.resource, d.kind collate "C"
        limit in_limit;
end
$$;

grant execute on function
    control.drifts(text, text[], integer),
    control.instances(text, text, text, text, integer),
    control.networks(text, text, text, text, integer),
    control.images(text, text, integer)
to medcloud_gateway;
