-- Operations: work that somebody asked for and the controller carries out, step by step; and who leads the controllers.
-- Rules as in V0001: row security binds the owner, functions name the acting tenant, the gateway may only call functions.
-- The controller connects as superuser and names its term in every write; a term that is over writes nothing (MC423).

create table control.operation (
    id uuid primary key default gen_random_uuid(),
    seq bigint not null unique generated always as identity,
    kind text collate "C" not null check (kind ~ '^[a-z]+([.-][a-z]+)*$' and length(kind) <= 60),
    -- Null is the region. No foreign key: the operation that removes a tenant outlives it.
    tenant text collate "C",
    subject text collate "C" not null check (length(subject) <= 200),
    input jsonb not null,
    parent uuid references control.operation (id) on delete cascade,
    after uuid[] not null,
    phase text not null default 'queued'
        check (phase in ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled')),
    percent smallint not null default 0 check (percent between 0 and 100),
    step text,
    message text,
    -- Why it failed, or is being undone; both null when it is undone because somebody cancelled it.
    error_code text,
    error_message text,
    cancelled_at timestamptz,
    -- It has gone so far that it only goes forward.
    irrevocable boolean not null default false,
    -- The lease: the leader's term that carries it out. A later term takes it over.
    term bigint,
    events integer not null default 0,
    created_by text not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    deadline timestamptz not null,
    check ((ended_at is null) = (phase in ('queued', 'running', 'undoing'))),
    check ((error_code is null) = (error_message is null))
);
-- One at a time for each thing of a tenant.
create unique index operation_under_way
    on control.operation (coalesce(tenant, 'region'), split_part(kind, '.', 1), subject)
    where phase in ('running', 'undoing') and kind <> 'apply';
create index operation_unfinished on control.operation (seq) where phase in ('queued', 'running', 'undoing');
create index operation_tenant on control.operation (tenant, seq);
create index operation_parent on control.operation (parent) where parent is not null;
create index operation_ended_at on control.operation (ended_at) where ended_at is not null;
alter table control.operation enable row level security;
alter table control.operation force row level security;
create policy acting on control.operation
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- Each step, recorded before and after.
create table control.operation_step (
    operation uuid not null references control.operation (id) on delete cascade,
    name text collate "C" not null check (name ~ '^[a-z]+(-[a-z0-9]+)*$'),
    ordinal smallint not null,
    tenant text collate "C",
    attempts integer not null default 1,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    undo_started_at timestamptz,
    undone_at timestamptz,
    primary key (operation, name)
);
alter table control.operation_step enable row level security;
alter table control.operation_step force row level security;
create policy acting on control.operation_step
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- What a watcher is told: the operation as it was after each change, counted from 1 without gaps.
create table control.operation_event (
    operation uuid not null references control.operation (id) on delete cascade,
    number integer not null,
    tenant text collate "C",
    at timestamptz not null default clock_timestamp(),
    phase text not null,
    percent smallint not null,
    step text,
    message text,
    error_code text,
    error_message text,
    primary key (operation, number)
);
alter table control.operation_event enable row level security;
alter table control.operation_event force row level security;
create policy acting on control.operation_event
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- One row: who leads. `term` is the fencing token; it only grows.
create table control.leadership (
    one boolean primary key default true check (one),
    term bigint not null unique,
    holder uuid not null,
    version text not null,
    process integer not null,
    -- The session that holds the lease: when it has ended, its holder has died.
    session_process integer not null,
    session_started_at timestamptz not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null
);

-- Operations ------------------------------------------------------------------------------------------------------------

-- Tells watchers how the operation is now. The caller has changed the row in the same transaction.
create function control.record_operation_event(in_id uuid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with changed as (
        update control.operation o set events = o.events + 1 where o.id = in_id
        returning o.id, o.events, o.tenant, o.phase, o.percent, o.step, o.message, o.error_code, o.error_message)
    insert into control.operation_event
        (operation, number, tenant, phase, percent, step, message, error_code, error_message)
    select * from changed;
    perform pg_notify('control_operation', in_id::text);
end
$$;

-- Called by other functions, inside the transaction that writes what is wanted. `in_after` must succeed first; a null
-- deadline is an hour.
create function control.begin_operation(
    actor text, in_kind text, in_tenant text, in_subject text, in_input jsonb, in_parent uuid, in_after uuid[],
    in_deadline interval)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    result uuid;
begin
    if in_parent is not null then
        perform from control.operation o
        where o.id = in_parent and o.parent is null and o.phase in ('queued', 'running');
        if not found then
            raise exception using errcode = 'MC422', message = 'the parent is no operation that parts can be added to';
        end if;
    end if;
    if exists (
        select from unnest(in_after) as a (id)
        where not exists (select from control.operation o where o.id = a.id))
    then
        raise exception using errcode = 'MC422', message = 'an operation to wait for does not exist';
    end if;
    insert into control.operation (kind, tenant, subject, input, parent, after, created_by, deadline)
    values (in_kind, in_tenant, coalesce(in_subject, ''), coalesce(in_input, '{}'), in_parent, coalesce(in_after, '{}'),
            actor, clock_timestamp() + coalesce(in_deadline, interval '1 hour'))
    returning id into result;
    perform control.record_operation_event(result);
    return result;
end
$$;

-- The end, whatever it is. Triggers on `phase` take back or complete what was wanted, in the same transaction.
create function control.finish_operation(in_id uuid, in_phase text, in_code text, in_message text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update control.operation o
    set phase = in_phase, ended_at = clock_timestamp(), message = null, error_code = in_code, error_message = in_message,
        percent = case when in_phase = 'succeeded' then 100 else o.percent end
    where o.id = in_id;
    perform control.record_operation_event(in_id);
end
$$;

create function control.instant(in_time timestamptz)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select to_char(in_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Whether the acting tenant may see it: a tenant sees nothing of an earlier tenant of the same name.
create function control.sees_operation(acting text, in_tenant text, in_created timestamptz)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select acting = 'region'
        or exists (select from control.tenant t where t.id = acting and t.id = in_tenant and t.created_at <= in_created)
$$;

-- Newest first, below `in_before`; or one.
create function control.operations(
    acting text, in_id uuid, in_tenant text, in_phase text, in_kind text, in_parent uuid, in_before bigint,
    in_limit integer)
returns table (
    seq bigint, id uuid, kind text, tenant text, subject text, phase text, percent smallint, step text, message text,
    error_code text, error_message text, parent uuid, created_at text, started_at text, ended_at text, deadline text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select o.seq, o.id, o.kind, o.tenant, o.subject, o.phase, o.percent, o.step, o.message, o.error_code,
               o.error_message, o.parent, control.instant(o.created_at), control.instant(o.started_at),
               control.instant(o.ended_at), control.instant(o.deadline)
        from control.operation o
        where (in_id is null or o.id = in_id)
          and (in_tenant is null or o.tenant = in_tenant)
          and (in_phase is null or o.phase = in_phase)
          and (in_kind is null or o.kind = in_kind)
          and (in_parent is null or o.parent = in_parent)
          and (in_before is null or o.seq < in_before)
          and control.sees_operation(acting, o.tenant, o.created_at)
        order by o.seq desc
        limit in_limit;
end
$$;

-- For several watchers in one call: the events of operation `in_ids[i]` after number `in_after[i]`, each with the
-- operation as it was then. At most 1000 of them; ask again for more.
create function control.operation_events(acting text, in_ids uuid[], in_after integer[])
returns table (
    number integer, id uuid, kind text, tenant text, subject text, phase text, percent smallint, step text, message text,
    error_code text, error_message text, parent uuid, created_at text, started_at text, ended_at text, deadline text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select e.number, o.id, o.kind, o.tenant, o.subject, e.phase, e.percent, e.step, e.message, e.error_code,
               e.error_message, o.parent, control.instant(o.created_at),
               case when e.phase <> 'queued' then control.instant(o.started_at) end,
               case when e.phase in ('succeeded', 'failed', 'cancelled') then control.instant(o.ended_at) end,
               control.instant(o.deadline)
        from unnest(in_ids, in_after) as w (id, after)
            join control.operation o on o.id = w.id
            join control.operation_event e on e.operation = w.id and e.number > w.after
        where control.sees_operation(acting, o.tenant, o.created_at)
        order by o.id, e.number
        limit 1000;
end
$$;

-- Asks for an operation's end. One that waits ends at once; one that runs is undone first; MC409 when it is too late.
-- What an operator does to a tenant as a whole, the tenant's administrator cannot cancel.
create function control.cancel_operation(acting text, actor text, in_id uuid)
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
    -- Parts before the whole: always in this order.
    for part in
        select * from control.operation o
        where (o.id = in_id and o.kind <> 'apply') or o.parent = in_id
        order by o.seq for update
    loop
        if part.id = in_id then
            exit;
        end if;
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
    select * into whole from control.operation o where o.id = in_id for update;
    if not found or not control.sees_operation(acting, whole.tenant, whole.created_at) then
        raise exception using errcode = 'MC404', message = 'no such operation';
    end if;
    if acting <> 'region' and (whole.kind like 'tenant.%' or whole.kind = 'apply') then
        raise exception using errcode = 'MC403', message = 'only the region cancels what it does to a tenant';
    end if;
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

-- Leadership ------------------------------------------------------------------------------------------------------------

-- Becomes the leader when nobody is: the lease was never taken, has run out, or its holder's session has ended.
-- Null while another leads.
create function control.lead(in_holder uuid, in_version text, in_process integer, in_lease interval)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    result bigint;
    began timestamptz;
begin
    -- One candidate at a time, and each sees the sessions as they are once it is its turn.
    perform pg_advisory_xact_lock(7061000);
    perform pg_stat_clear_snapshot();
    select a.backend_start into strict began from pg_stat_activity a where a.pid = pg_backend_pid();
    insert into control.leadership as l
        (term, holder, version, process, session_process, session_started_at, started_at, seen_at, expires_at)
    values (1, in_holder, in_version, in_process, pg_backend_pid(), began, clock_timestamp(), clock_timestamp(),
            clock_timestamp() + in_lease)
    on conflict (one) do update
    set term = l.term + 1, holder = excluded.holder, version = excluded.version, process = excluded.process,
        session_process = excluded.session_process, session_started_at = excluded.session_started_at,
        started_at = excluded.started_at, seen_at = excluded.seen_at, expires_at = excluded.expires_at
    where l.expires_at < clock_timestamp()
       or not exists (
            select from pg_stat_activity a
            where a.pid = l.session_process and a.backend_start = l.session_started_at)
    returning l.term into result;
    return result;
end
$$;

-- Extends the lease; false when the term is over. `term` does not change, so writes under way are not waited for.
create function control.renew_leadership(in_term bigint, in_lease interval)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update control.leadership l set seen_at = clock_timestamp(), expires_at = clock_timestamp() + in_lease
    where l.term = in_term;
    return found;
end
$$;

-- Gives the lease back at once.
create function control.resign_leadership(in_term bigint)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update control.leadership l set expires_at = '-infinity' where l.term = in_term
$$;

-- The fence: fails unless the term is the current one, and keeps it so until the transaction ends.
create function control.require_leader(in_term bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from control.leadership l where l.term = in_term for key share;
    if not found then
        raise exception using errcode = 'MC423', message = 'another controller leads';
    end if;
end
$$;

-- The controller's side --------------------------------------------------------------------------------------------------

-- Up to `in_limit` operations to carry out: first those that an earlier term left half done, then the oldest that may begin.
create function control.claim_operations(in_term bigint, in_limit integer)
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
        select o.id, o.phase from control.operation o
        where o.kind <> 'apply'
          and ((o.phase in ('running', 'undoing') and o.term is distinct from in_term)
            or (o.phase = 'queued' and o.deadline > clock_timestamp()
                and not exists (
                    select from unnest(o.after) as a (id) join control.operation p on p.id = a.id
                    where p.phase <> 'succeeded')
                and not exists (
                    select from control.operation e
                    where e.phase in ('queued', 'running', 'undoing') and e.kind <> 'apply' and e.id <> o.id
                      and coalesce(e.tenant, 'region') = coalesce(o.tenant, 'region')
                      and split_part(e.kind, '.', 1) = split_part(o.kind, '.', 1) and e.subject = o.subject
                      and (e.phase <> 'queued' or e.seq < o.seq))))
        order by o.phase = 'queued', o.seq
        limit in_limit
    loop
        update control.operation o
        set term = in_term, phase = case when o.phase = 'queued' then 'running' else o.phase end,
            started_at = coalesce(o.started_at, clock_timestamp())
        where o.id = candidate.id and o.phase = candidate.phase;
        if not found then
            continue;
        end if;
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

-- Decides what needs no work: operations that can never begin, and what has become of an apply by its parts.
create function control.settle_operations(in_term bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    found_operation record;
begin
    perform control.require_leader(in_term);
    for found_operation in
        select o.id,
               (select p.kind || case when p.subject = '' then '' else ' ' || p.subject end
                from unnest(o.after) as a (id) join control.operation p on p.id = a.id
                where p.phase in ('failed', 'cancelled') order by p.seq limit 1) as broken
        from control.operation o
        where o.phase = 'queued' and o.kind <> 'apply'
          and (o.deadline <= clock_timestamp()
            or exists (select from unnest(o.after) as a (id) join control.operation p on p.id = a.id
                       where p.phase in ('failed', 'cancelled')))
        for update of o skip locked
    loop
        if found_operation.broken is not null then
            perform control.finish_operation(
                found_operation.id, 'failed', 'dependency-failed',
                'what it waits for did not succeed: ' || found_operation.broken);
        else
            perform control.finish_operation(
                found_operation.id, 'failed', 'deadline-exceeded', 'its deadline passed before it could begin');
        end if;
    end loop;
    for found_operation in
        select o.id, o.phase, o.percent, s.*
        from control.operation o
            cross join lateral (
                select count(*) filter (where p.phase in ('queued', 'running', 'undoing')) as open,
                       count(*) filter (where p.phase <> 'queued') as begun,
                       count(*) filter (where p.phase = 'failed') as failed,
                       count(*) filter (where p.phase = 'cancelled') as cancelled,
                       count(*) as parts,
                       coalesce(avg(case when p.ended_at is null then p.percent else 100 end), 100)::integer as progress
                from control.operation p where p.parent = o.id) s
        where o.kind = 'apply' and o.phase in ('queued', 'running')
        order by o.seq
    loop
        if found_operation.open = 0 then
            perform control.finish_operation(
                found_operation.id,
                case when found_operation.failed > 0 then 'failed'
                     when found_operation.cancelled > 0 then 'cancelled' else 'succeeded' end,
                case when found_operation.failed > 0 then 'part-failed' end,
                case when found_operation.failed > 0
                     then found_operation.failed || ' of ' || found_operation.parts || ' parts failed' end);
        elsif found_operation.progress <> found_operation.percent
            or (found_operation.phase = 'queued' and found_operation.begun > 0)
        then
            update control.operation o
            set phase = case when found_operation.begun > 0 then 'running' else o.phase end,
                percent = found_operation.progress,
                started_at = coalesce(o.started_at, case when found_operation.begun > 0 then clock_timestamp() end)
            where o.id = found_operation.id;
            perform control.record_operation_event(found_operation.id);
        end if;
    end loop;
end
$$;

-- Before a step. False when somebody has cancelled the operation meanwhile: nothing is recorded then.
create function control.begin_operation_step(
    in_term bigint, in_id uuid, in_ordinal integer, in_name text, in_irrevocable boolean)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    was text;
    owner text;
begin
    perform control.require_leader(in_term);
    select o.step, o.tenant into was, owner from control.operation o
    where o.id = in_id and o.phase = 'running' and (o.cancelled_at is null or o.irrevocable)
    for update;
    if not found then
        return false;
    end if;
    insert into control.operation_step as s (operation, name, ordinal, tenant)
    values (in_id, in_name, in_ordinal, owner)
    on conflict (operation, name) do update set attempts = s.attempts + 1;
    update control.operation o set step = in_name, irrevocable = o.irrevocable or in_irrevocable where o.id = in_id;
    if was is distinct from in_name then
        update control.operation o set message = null where o.id = in_id;
        perform control.record_operation_event(in_id);
    end if;
    return true;
end
$$;

-- After a step.
create function control.end_operation_step(in_term bigint, in_id uuid, in_name text, in_percent integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    update control.operation_step s set ended_at = clock_timestamp() where s.operation = in_id and s.name = in_name;
    update control.operation o set percent = greatest(o.percent, in_percent), message = null where o.id = in_id;
    perform control.record_operation_event(in_id);
end
$$;

-- Why it does not go on just now. The same reason again tells nobody.
create function control.explain_operation(in_term bigint, in_id uuid, in_message text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    update control.operation o set message = in_message where o.id = in_id and o.message is distinct from in_message;
    if found then
        perform control.record_operation_event(in_id);
    end if;
end
$$;

-- From here on it goes backwards. Without a code it ends cancelled, else failed.
create function control.undo_operation(in_term bigint, in_id uuid, in_code text, in_message text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    update control.operation o
    set phase = 'undoing', message = null, error_code = in_code, error_message = in_message
    where o.id = in_id and o.phase = 'running';
    if found then
        perform control.record_operation_event(in_id);
    end if;
end
$$;

-- Before and after a step is taken back.
create function control.record_step_undo(in_term bigint, in_id uuid, in_ordinal integer, in_name text, in_done boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    insert into control.operation_step as s (operation, name, ordinal, tenant, attempts, undo_started_at)
    select in_id, in_name, in_ordinal, o.tenant, 0, clock_timestamp() from control.operation o where o.id = in_id
    on conflict (operation, name) do update
    set undo_started_at = coalesce(s.undo_started_at, clock_timestamp()),
        undone_at = case when in_done then clock_timestamp() end;
    update control.operation o set step = in_name, message = null where o.id = in_id;
    perform control.record_operation_event(in_id);
end
$$;

-- False when it would succeed but somebody has cancelled it meanwhile: it is to be undone then.
create function control.end_operation(in_term bigint, in_id uuid, in_phase text, in_code text, in_message text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    perform from control.operation o
    where o.id = in_id and (in_phase <> 'succeeded' or o.cancelled_at is null or o.irrevocable)
    for update;
    if not found then
        return false;
    end if;
    perform control.finish_operation(in_id, in_phase, in_code, in_message);
    return true;
end
$$;

-- Forgets what ended long ago. Parts go with their whole.
create function control.purge_operations(in_term bigint, in_age interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_leader(in_term);
    delete from control.operation o where o.ended_at < clock_timestamp() - in_age and o.parent is null;
end
$$;

grant execute on function
    control.operations(text, uuid, text, text, text, uuid, bigint, integer),
    control.operation_events(text, uuid[], integer[]),
    control.cancel_operation(text, text, uuid)
to medcloud_gateway;
