-- What needs no work is decided one operation at a time, each in a transaction of its own, so that one whose end is refused
-- holds up nobody else. Tenants take turns. Rules as in V0005.

-- What waits, by whom; and all that is not over, by the thing that it is for.
create index operation_queued on control.operation (coalesce(tenant, 'region'), seq)
    where phase = 'queued' and kind <> 'apply';
create index operation_thing on control.operation (coalesce(tenant, 'region'), split_part(kind, '.', 1), subject, seq)
    where phase in ('queued', 'running', 'undoing') and kind <> 'apply';

-- Operations that control.settle_operation has something to do for: those that can never begin, and each apply of which the
-- parts have come further.
drop function control.settle_operations(bigint);
create function control.operations_to_settle(in_term bigint)
returns table (id uuid)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    return query
        select o.id
        from control.operation o
        where o.phase = 'queued' and o.kind <> 'apply'
          and (o.deadline <= clock_timestamp()
            or exists (select from unnest(o.after) as a (id) join control.operation p on p.id = a.id
                       where p.phase in ('failed', 'cancelled')))
        order by o.seq;
    return query
        select o.id
        from control.operation o cross join lateral control.progress(o.id) s
        where o.kind = 'apply' and o.phase in ('queued', 'running')
          and (s.open = 0 or s.progress <> o.percent or (o.phase = 'queued' and s.begun > 0))
        order by o.seq;
end
$$;

-- How far the parts of an apply have come; percent.
create function control.progress(in_id uuid)
returns table (open bigint, begun bigint, failed bigint, cancelled bigint, parts bigint, progress integer)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select count(*) filter (where p.phase in ('queued', 'running', 'undoing')),
           count(*) filter (where p.phase <> 'queued'),
           count(*) filter (where p.phase = 'failed'),
           count(*) filter (where p.phase = 'cancelled'),
           count(*),
           coalesce(avg(case when p.ended_at is null then p.percent else 100 end), 100)::integer
    from control.operation p where p.parent = in_id
$$;

-- Decides what needs no work: the end of an operation that can never begin, and what has become of an apply by its parts.
create function control.settle_operation(in_term bigint, in_id uuid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.operation%rowtype;
    broken control.operation%rowtype;
    parts record;
begin
    perform control.require_leader(in_term);
    -- One that somebody is just cancelling is for another time.
    select * into present from control.operation o
    where o.id = in_id and (o.phase = 'queued' or (o.phase = 'running' and o.kind = 'apply')) for update skip locked;
    if not found then
        return;
    end if;
    if present.kind <> 'apply' then
        select p.* into broken
        from unnest(present.after) as a (id) join control.operation p on p.id = a.id
        where p.phase in ('failed', 'cancelled') order by p.seq limit 1;
        if found then
            -- What another tenant does is not this one's to know.
            perform control.finish_operation(
                in_id, 'failed', 'dependency-failed',
                'what it waits for did not succeed'
                    || case when broken.tenant is not distinct from present.tenant
                            then ': ' || broken.kind || case when broken.subject = '' then '' else ' ' || broken.subject end
                            else '' end);
        elsif present.deadline <= clock_timestamp() then
            perform control.finish_operation(
                in_id, 'failed', 'deadline-exceeded', 'its deadline passed before it could begin');
        end if;
        return;
    end if;
    select * into strict parts from control.progress(in_id);
    if parts.open = 0 then
        perform control.finish_operation(
            in_id,
            case when parts.failed > 0 then 'failed' when parts.cancelled > 0 then 'cancelled' else 'succeeded' end,
            case when parts.failed > 0 then 'part-failed' end,
            case when parts.failed > 0 then parts.failed || ' of ' || parts.parts || ' parts failed' end);
    elsif parts.progress <> present.percent or (present.phase = 'queued' and parts.begun > 0) then
        update control.operation o
        set phase = case when parts.begun > 0 then 'running' else o.phase end,
            percent = parts.progress,
            started_at = coalesce(o.started_at, case when parts.begun > 0 then clock_timestamp() end)
        where o.id = in_id;
        perform control.record_operation_event(in_id);
    end if;
end
$$;

-- Up to `in_limit` operations to carry out: first those that an earlier term left half done, then the oldest that may begin,
-- in turn for each tenant. A tenant with `in_share` under way has no further turn.
drop function control.claim_operations(bigint, integer);
create function control.claim_operations(in_term bigint, in_limit integer, in_share integer)
returns table (
    id uuid, kind text, tenant text, subject text, input text, deadline timestamptz, microseconds_left bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    candidate record;
begin
    perform control.require_leader(in_term);
    for candidate in
        with under_way as (
            select coalesce(o.tenant, 'region') as realm, count(*)::integer as number
            from control.operation o
            where o.phase in ('running', 'undoing') and o.kind <> 'apply'
            group by 1
        ), waiting as (
            select distinct coalesce(o.tenant, 'region') as realm
            from control.operation o where o.phase = 'queued' and o.kind <> 'apply'
        )
        select o.id, o.phase, 0::bigint as turn, o.seq
        from control.operation o
        where o.phase in ('running', 'undoing') and o.kind <> 'apply' and o.term is distinct from in_term
        union all
        select n.id, 'queued', coalesce(u.number, 0) + row_number() over (partition by w.realm order by n.seq), n.seq
        from waiting w
            left join under_way u on u.realm = w.realm
            cross join lateral (
                select o.id, o.seq
                from control.operation o
                where o.phase = 'queued' and o.kind <> 'apply' and coalesce(o.tenant, 'region') = w.realm
                  and o.deadline > clock_timestamp()
                  and not exists (
                    select from unnest(o.after) as a (id) join control.operation p on p.id = a.id
                    where p.phase <> 'succeeded')
                  and not exists (
                    select from control.operation e
                    where e.phase in ('queued', 'running', 'undoing') and e.kind <> 'apply' and e.id <> o.id
                      and coalesce(e.tenant, 'region') = coalesce(o.tenant, 'region')
                      and split_part(e.kind, '.', 1) = split_part(o.kind, '.', 1) and e.subject = o.subject
                      and (e.phase <> 'queued' or e.seq < o.seq))
                order by o.seq
                limit least(in_limit, greatest(in_share - coalesce(u.number, 0), 0))) n
        order by turn, seq
        limit in_limit
    loop
        -- One that somebody is just cancelling is for another time.
        perform from control.operation o
        where o.id = candidate.id and o.phase = candidate.phase for update skip locked;
        if not found then
            continue;
        end if;
        update control.operation o
        set term = in_term, phase = case when o.phase = 'queued' then 'running' else o.phase end,
            started_at = coalesce(o.started_at, clock_timestamp())
        where o.id = candidate.id;
        if candidate.phase = 'queued' then
            perform control.record_operation_event(candidate.id);
        end if;
        return query
            select o.id, o.kind, o.tenant, o.subject, o.input::text, o.deadline,
                   (extract(epoch from o.deadline - clock_timestamp()) * 1000000)::bigint
            from control.operation o where o.id = candidate.id;
    end loop;
end
$$;

-- Asks for an operation's end. One that waits ends at once; one that runs is undone first; MC409 when it is too late.
-- What an operator does to a tenant as a whole, the tenant's administrator cannot cancel.
create or replace function control.cancel_operation(acting text, actor text, in_id uuid)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    whole control.operation%rowtype;
    part control.operation%rowtype;
    hit boolean := false;
begin
    perform set_config('control.acting', acting, true);
    if exists (select from control.operation o where o.id = in_id and o.kind = 'apply') then
        -- Ends what is several tenants', as a plan begins it: in turn with plans, so that two never wait for each other in a
        -- circle.
        perform pg_advisory_xact_lock(7061003);
    end if;
    -- Parts before the whole: always in this order.
    perform from control.operation o where o.parent = in_id order by o.seq for update;
    select * into whole from control.operation o where o.id = in_id for update;
    if not found or not control.sees_operation(acting, whole.tenant, whole.created_at) then
        raise exception using errcode = 'MC404', message = 'no such operation';
    end if;
    if acting <> 'region' and (whole.kind like 'tenant.%' or whole.kind = 'apply') then
        raise exception using errcode = 'MC403', message = 'only the region cancels what it does to a tenant';
    end if;
    -- The last first: what is within something goes before that.
    for part in
        select * from control.operation o where o.parent = in_id order by o.seq desc
    loop
        if part.phase = 'queued' then
            perform control.finish_operation(part.id, 'cancelled', null, null);
            hit := true;
        elsif part.phase = 'running' and not part.irrevocable then
            update control.operation o set cancelled_at = coalesce(o.cancelled_at, clock_timestamp()),
                message = 'cancellation asked for'
            where o.id = part.id;
            perform control.record_operation_event(part.id);
            hit := true;
        elsif part.cancelled_at is not null then
            hit := true;
        end if;
    end loop;
    if whole.phase in ('succeeded', 'failed', 'cancelled') then
        raise exception using errcode = 'MC409', message = 'the operation has ended: ' || whole.phase;
    elsif whole.kind = 'apply' then
        if not hit then
            raise exception using errcode = 'MC409', message = 'no part of the operation can be cancelled any more';
        end if;
        update control.operation o set cancelled_at = coalesce(o.cancelled_at, clock_timestamp()) where o.id = in_id;
    elsif whole.cancelled_at is not null then
        return;
    elsif whole.phase = 'queued' then
        perform control.finish_operation(in_id, 'cancelled', null, null);
    elsif whole.phase = 'undoing' then
        raise exception using errcode = 'MC409', message = 'the operation has failed and is being undone';
    elsif whole.irrevocable then
        raise exception using errcode = 'MC409', message = 'the operation has gone too far to be undone';
    else
        update control.operation o set cancelled_at = clock_timestamp(), message = 'cancellation asked for'
        where o.id = in_id;
        perform control.record_operation_event(in_id);
    end if;
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'operation.cancel', coalesce(whole.tenant, 'region'), in_id::text, 'accepted');
end
$$;
