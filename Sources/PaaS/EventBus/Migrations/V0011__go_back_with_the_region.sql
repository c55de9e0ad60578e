-- Up to where the region has heard of a tenant's changes, kept where what it heard is kept. The position lies in the tenant's
-- database: after a restore this one may be older, as after each of a whole region, whose clusters are copied one after the
-- other. A lease that finds the position beyond goes back (docs/decisions/0011). Rules as in V0003.

alter table outbox.lease
    add column heard bigint not null default 0,
    add column waiting bigint[] not null default '{}' check (cardinality(waiting) <= 1000);
comment on column outbox.lease.heard is 'every change up to here was handled, but for those that waited';
do $$
begin
    perform set_config('region.acting', 'region', true);
    update outbox.lease l set heard = l.position where l.deferred = 0;
    perform set_config('region.acting', '', true);
end
$$;

-- As in V0003, with how far the consumer was told to be.
drop function outbox.claim(text, text, text, bigint);
create function outbox.claim(acting text, in_consumer text, in_holder text, in_milliseconds bigint)
returns table (is_mine boolean, token bigint, wish text, remaining bigint, "position" bigint, heard bigint,
               waiting bigint[])
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
        returning true, l.token, l.wish, in_milliseconds, l.position, l.heard, l.waiting;
    if not found then
        return query
            select false, l.token, l.wish,
                   greatest(0, ceil(extract(epoch from l.expires_at - clock_timestamp()) * 1000))::bigint,
                   l.position, l.heard, l.waiting
            from outbox.lease l where l.tenant = acting and l.consumer = in_consumer;
    end if;
end
$$;

-- As in V0003, with what was heard: told after what it is about has been written here.
drop function outbox.report(text, text, bigint, bigint, bigint, bigint, jsonb, text);
create function outbox.report(
    acting text, in_consumer text, in_token bigint, in_position bigint, in_heard bigint, in_waiting bigint[],
    in_deferred bigint, in_parked bigint, in_parked_changes jsonb, in_failure text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform set_config('synchronous_commit', 'off', true);
    update outbox.lease l
    set position = in_position, heard = in_heard, waiting = in_waiting, deferred = in_deferred, parked = in_parked,
        parked_changes = in_parked_changes, failure = in_failure, reported_at = clock_timestamp()
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token;
end
$$;

-- The holder cannot go on. What it told before stays.
create function outbox.fail(acting text, in_consumer text, in_token bigint, in_failure text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform set_config('synchronous_commit', 'off', true);
    update outbox.lease l set failure = in_failure, reported_at = clock_timestamp()
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token;
end
$$;

-- As in V0003.
create or replace function outbox.retain(acting text, in_tenants text[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    update outbox.lease l
    set holder = null, wish = null, position = 0, heard = 0, waiting = '{}', deferred = 0, parked = 0,
        parked_changes = '[]', failure = null, reported_at = null
    where l.reported_at is not null and l.tenant <> all (in_tenants)
      and (l.holder is null or l.expires_at <= clock_timestamp());
end
$$;

grant execute on function
    outbox.claim(text, text, text, bigint),
    outbox.report(text, text, bigint, bigint, bigint, bigint[], bigint, bigint, jsonb, text),
    outbox.fail(text, text, bigint, text)
to medcloud_gateway;
