-- The outbox: fhir.change says what happened, and here stands how far each consumer has come and what it must try again.
-- EventBus reads and moves it. Nothing is added to the write path: see docs/decisions/0011-outbox-order.md.
create schema outbox;

create table outbox.consumer (
    name text collate "C" primary key,
    -- Every change up to here was handled, or waits in outbox.deferred.
    position bigint not null default 0,
    -- The fence: of the lease that moved it last, or moves it now.
    token bigint not null,
    -- While a rebuild runs: it ends when the position has come so far.
    rebuild_until bigint
);

-- Changes that could not be handled, and the later changes of the same resource, which wait for them.
create table outbox.deferred (
    consumer text collate "C" not null references outbox.consumer,
    seq bigint not null,
    rid bigint not null,
    attempts integer not null,
    due_at timestamptz not null,
    is_parked boolean not null,
    reason text not null,
    primary key (consumer, seq)
);
create index deferred_resource on outbox.deferred (consumer, rid, seq);

-- What a tenant holds for a patient, counted without reading the rows.
create index resource_patient on fhir.resource (patient, type, last_updated) where patient is not null and not deleted;

-- Takes the consumer for the holder of a lease. Raises MC423, DETAIL = the token that is known, when a later lease was here.
create function outbox.take(p_consumer text, p_token bigint)
returns table ("position" bigint, rebuild_until bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        insert into outbox.consumer as c (name, token) values (p_consumer, p_token)
        on conflict (name) do update set token = excluded.token where c.token <= excluded.token
        returning c.position, c.rebuild_until;
    if not found then
        raise exception using errcode = 'MC423', message = 'the lease was lost',
            detail = (select c.token from outbox.consumer c where c.name = p_consumer);
    end if;
end
$$;

-- Holds the consumer until the transaction ends. The move need not reach the disk at once: what a crash forgets is
-- delivered again.
create function outbox.fence(p_consumer text, p_token bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    perform from outbox.consumer c where c.name = p_consumer and c.token = p_token for update;
    if not found then
        raise exception using errcode = 'MC423', message = 'the lease was lost';
    end if;
end
$$;

-- Moves the position, forgets what was done at last, and keeps what is to be tried again after p_pauses milliseconds.
-- Returns what waits now; next_due is in milliseconds from now, null when nothing but parked changes wait.
create function outbox.advance(
    p_consumer text, p_token bigint, p_position bigint, p_done bigint[],
    p_deferred bigint[], p_attempts integer[], p_pauses bigint[], p_parked boolean[], p_reasons text[])
returns table (deferred bigint, parked bigint, next_due bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(p_consumer, p_token);
    update outbox.consumer c set position = p_position where c.name = p_consumer and c.position < p_position;
    delete from outbox.deferred d where d.consumer = p_consumer and d.seq = any (p_done);
    insert into outbox.deferred as d (consumer, seq, rid, attempts, due_at, is_parked, reason)
    select p_consumer, n.seq, k.rid, n.attempts, clock_timestamp() + n.pause * interval '1 millisecond', n.is_parked,
           n.reason
    from unnest(p_deferred, p_attempts, p_pauses, p_parked, p_reasons) as n(seq, attempts, pause, is_parked, reason)
    join fhir.change k on k.seq = n.seq
    on conflict (consumer, seq) do update
    set attempts = excluded.attempts, due_at = excluded.due_at, is_parked = excluded.is_parked,
        reason = excluded.reason;
    return query
        with head as (
            select distinct on (d.rid) d.is_parked, d.due_at
            from outbox.deferred d where d.consumer = p_consumer
            order by d.rid, d.seq
        )
        select (select count(*) from outbox.deferred d where d.consumer = p_consumer),
               (select count(*) from outbox.deferred d where d.consumer = p_consumer and d.is_parked),
               -- greatest() of a null and 0 is 0, which would be "at once".
               (select case when min(h.due_at) is not null
                       then greatest(0, ceil(extract(epoch from min(h.due_at) - clock_timestamp()) * 1000))::bigint end
                from head h where not h.is_parked);
end
$$;

-- Tries what is parked again.
create function outbox.retry(p_consumer text, p_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(p_consumer, p_token);
    update outbox.deferred d set is_parked = false, attempts = 0, due_at = clock_timestamp()
    where d.consumer = p_consumer and d.is_parked;
end
$$;

-- Begins from the first change, up to the last one that there is now.
create function outbox.rewind(p_consumer text, p_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(p_consumer, p_token);
    delete from outbox.deferred d where d.consumer = p_consumer;
    update outbox.consumer c
    set position = 0, rebuild_until = (select coalesce(max(k.seq), 0) from fhir.change k)
    where c.name = p_consumer;
end
$$;

create function outbox.end_rebuild(p_consumer text, p_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(p_consumer, p_token);
    update outbox.consumer c set rebuild_until = null where c.name = p_consumer;
end
$$;

revoke all on all functions in schema outbox from public;

do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'medcloud_tenant') then
        grant usage on schema outbox to medcloud_tenant;
        grant select on all tables in schema outbox to medcloud_tenant;
        grant execute on function outbox.take(text, bigint) to medcloud_tenant;
        grant execute on function outbox.advance(text, bigint, bigint, bigint[], bigint[], integer[], bigint[],
            boolean[], text[]) to medcloud_tenant;
        grant execute on function outbox.retry(text, bigint) to medcloud_tenant;
        grant execute on function outbox.rewind(text, bigint) to medcloud_tenant;
        grant execute on function outbox.end_rebuild(text, bigint) to medcloud_tenant;
    end if;
end
$$;
