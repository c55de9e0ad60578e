-- A quota that is lowered by the plan that takes away what it covers is lowered when that is gone. Rules as in V0006.

-- The limit that comes into force as soon as no more than it is used; the other one holds until then.
alter table control.quota add column next_maximum bigint check (next_maximum >= 0);

-- At the end of a transaction, for what goes and what takes its place within one counts together.
create function control.lower_quota()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = 'region'
as $$
begin
    update control.quota q set maximum = q.next_maximum, next_maximum = null
    where q.tenant = new.tenant and q.dimension = new.dimension and q.used <= q.next_maximum;
    return null;
end
$$;
create constraint trigger lower_quota after update of used on control.quota
    deferrable initially deferred for each row when (new.used <= new.next_maximum)
    execute function control.lower_quota();

-- Sets limits; a dimension that is not named is zero. A limit below what is used is refused, or waits.
create function control.set_quota(actor text, in_tenant text, quota jsonb, may_wait boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    known constant text[] := array['instances', 'running', 'vcpus', 'memory', 'storage', 'networks'];
    one text;
    wanted bigint;
    present control.quota%rowtype;
begin
    perform control.require_tenant(in_tenant);
    perform control.check_members(quota, known);
    foreach one in array known loop
        wanted := coalesce(control.checked_integer(quota, one, 0, 4611686018427387904), 0);
        insert into control.quota (tenant, dimension, maximum) values (in_tenant, one, wanted)
        on conflict (tenant, dimension) do update set maximum = excluded.maximum, next_maximum = null
        where control.quota.used <= excluded.maximum;
        if not found and may_wait then
            update control.quota q set next_maximum = wanted where q.tenant = in_tenant and q.dimension = one;
        elsif not found then
            select * into strict present from control.quota q where q.tenant = in_tenant and q.dimension = one;
            raise exception using errcode = 'MC422',
                message = format('the quota of %s cannot be %s: %s are used', one, wanted, present.used),
                detail = json_build_object(
                    'field', one, 'rule', format('must be at least %s, which is used', present.used),
                    'dimension', one, 'limit', present.maximum, 'used', present.used, 'requested', wanted,
                    'remaining', present.maximum - present.used)::text;
        end if;
    end loop;
    insert into control.action (actor, action, realm, outcome) values (actor, 'quota.set', in_tenant, 'done');
end
$$;

create or replace function control.set_quota(actor text, in_tenant text, quota jsonb)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select control.set_quota(actor, in_tenant, quota, false)
$$;
