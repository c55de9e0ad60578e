-- Who hands out the changes of which tenant: one lease for each tenant and consumer. A lease gives a token, which grows with
-- each lease; the tenant's database and the consumer's own refuse lower ones.

create schema outbox;
grant usage on schema outbox to medcloud_gateway;

create table outbox.lease (
    tenant text collate "C" not null,
    consumer text collate "C" not null,
    token bigint not null default 0,
    -- The process that holds it; null when it is free.
    holder text collate "C",
    expires_at timestamptz not null default '-infinity',
    -- What the operator has asked for and the next holder does: to try parked changes again, to hear everything again.
    wish text check (wish in ('retry', 'rebuild')),
    -- What the last holder told.
    position bigint not null default 0,
    deferred bigint not null default 0,
    parked bigint not null default 0,
    parked_changes jsonb not null default '[]',
    failure text,
    reported_at timestamptz,
    primary key (tenant, consumer)
);
create index lease_holder on outbox.lease (consumer, holder) where holder is not null;
alter table outbox.lease enable row level security;
alter table outbox.lease force row level security;
create policy acting on outbox.lease
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- Takes the lease for in_milliseconds when nobody holds it. is_mine false: another holder has it for the next `remaining`
-- milliseconds.
create function outbox.claim(acting text, in_consumer text, in_holder text, in_milliseconds bigint)
returns table (is_mine boolean, token bigint, wish text, remaining bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    insert into outbox.lease (tenant, consumer) values (acting, in_consumer) on conflict do nothing;
    return query
        update outbox.lease l
        set token = l.token + 1, holder = in_holder,
            expires_at = clock_timestamp() + in_milliseconds * interval '1 millisecond'
        where l.tenant = acting and l.consumer = in_consumer
          and (l.holder is null or l.expires_at <= clock_timestamp())
        returning true, l.token, l.wish, in_milliseconds;
    if not found then
        return query
            select false, l.token, l.wish,
                   greatest(0, ceil(extract(epoch from l.expires_at - clock_timestamp()) * 1000))::bigint
            from outbox.lease l where l.tenant = acting and l.consumer = in_consumer;
    end if;
end
$$;

-- Makes the holder's leases last in_milliseconds from now. Says what the holder does not know: 'lost' leases, wishes
-- ('retry', 'rebuild'), and leases that others have let go ('expired').
create function outbox.renew(
    acting text, in_consumer text, in_holder text, in_milliseconds bigint, in_tenants text[], in_tokens bigint[])
returns table (tenant text, news text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    v_held text[];
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    with renewed as (
        update outbox.lease l
        set expires_at = clock_timestamp() + in_milliseconds * interval '1 millisecond'
        from unnest(in_tenants, in_tokens) as mine(tenant, token)
        where l.tenant = mine.tenant and l.consumer = in_consumer and l.token = mine.token and l.holder = in_holder
        returning l.tenant
    )
    select coalesce(array_agg(r.tenant), '{}') into v_held from renewed r;
    return query
        select mine.tenant, 'lost' from unnest(in_tenants) as mine(tenant) where mine.tenant <> all (v_held)
        union all
        select l.tenant, l.wish from outbox.lease l
        where l.consumer = in_consumer and l.tenant = any (v_held) and l.wish is not null
        union all
        select l.tenant, 'expired' from outbox.lease l
        where l.consumer = in_consumer and l.holder is not null and l.expires_at <= clock_timestamp();
end
$$;

-- Gives the lease back. in_token_seen is the highest token that the holder met elsewhere: after a restore of this database
-- the next lease must go beyond it.
create function outbox.release(acting text, in_consumer text, in_holder text, in_token bigint, in_token_seen bigint)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    update outbox.lease l set holder = null, token = greatest(l.token, in_token_seen)
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token and l.holder = in_holder;
end
$$;

-- Something was written in these tenants by a process that does not hold their leases: wakes the holders. Returns the
-- tenants that nobody holds.
create function outbox.wake(acting text, in_consumer text, in_tenants text[])
returns table (tenant text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    perform pg_notify('outbox', l.tenant)
    from outbox.lease l
    where l.consumer = in_consumer and l.tenant = any (in_tenants)
      and l.holder is not null and l.expires_at > clock_timestamp();
    return query
        select n.tenant from unnest(in_tenants) as n(tenant)
        where not exists (
            select from outbox.lease l
            where l.tenant = n.tenant and l.consumer = in_consumer
              and l.holder is not null and l.expires_at > clock_timestamp());
end
$$;

-- The holder tells where it is.
create function outbox.report(
    acting text, in_consumer text, in_token bigint, in_position bigint, in_deferred bigint, in_parked bigint,
    in_parked_changes jsonb, in_failure text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform set_config('synchronous_commit', 'off', true);
    update outbox.lease l
    set position = in_position, deferred = in_deferred, parked = in_parked, parked_changes = in_parked_changes,
        failure = in_failure, reported_at = clock_timestamp()
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token;
end
$$;

-- The holder has begun what was asked for.
create function outbox.grant_wish(acting text, in_consumer text, in_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    update outbox.lease l set wish = null
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token;
end
$$;

-- Asks the consumers of these tenants, or of all tenants that have any, for 'retry' or 'rebuild'. Returns whom it asked.
create function outbox.ask(acting text, in_tenant text, in_wish text)
returns table (tenant text, consumer text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query
        update outbox.lease l
        -- A rebuild tries everything again as well.
        set wish = case when l.wish = 'rebuild' then l.wish else in_wish end
        where in_tenant is null or l.tenant = in_tenant
        returning l.tenant, l.consumer;
    perform pg_notify('outbox', l.tenant) from outbox.lease l where in_tenant is null or l.tenant = in_tenant;
end
$$;

-- How far the consumers are.
create function outbox.feeds(acting text, in_tenant text)
returns table (tenant text, consumer text, is_held boolean, wish text, "position" bigint, deferred bigint, parked bigint,
               parked_changes text, failure text, reported_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform set_config('region.acting', acting, true);
    return query
        select l.tenant, l.consumer, l.holder is not null and l.expires_at > clock_timestamp(), l.wish, l.position,
               l.deferred, l.parked, l.parked_changes::text, l.failure,
               to_char(l.reported_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
        from outbox.lease l
        where (in_tenant is null or l.tenant = in_tenant) and l.reported_at is not null
        order by l.tenant, l.consumer;
end
$$;

-- Forgets what was reported of tenants that are gone, but not their tokens: a name may come again.
create function outbox.retain(acting text, in_tenants text[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    update outbox.lease l
    set holder = null, wish = null, position = 0, deferred = 0, parked = 0, parked_changes = '[]', failure = null,
        reported_at = null
    where l.reported_at is not null and l.tenant <> all (in_tenants)
      and (l.holder is null or l.expires_at <= clock_timestamp());
end
$$;

grant execute on function
    outbox.claim(text, text, text, bigint),
    outbox.renew(text, text, text, bigint, text[], bigint[]),
    outbox.release(text, text, text, bigint, bigint),
    outbox.wake(text, text, text[]),
    outbox.report(text, text, bigint, bigint, bigint, bigint, jsonb, text),
    outbox.grant_wish(text, text, bigint),
    outbox.ask(text, text, text),
    outbox.feeds(text, text),
    outbox.retain(text, text[])
to medcloud_gateway;
