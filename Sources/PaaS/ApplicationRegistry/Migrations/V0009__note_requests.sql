-- What a write of the platform API has begun is noted with its Idempotency-Key in the same transaction: when the worker dies
-- before it keeps its answer, the same request finds the operation or the client instead of a conflict with itself.
-- Rules as in V0003.

-- `operation UUID` or `client ID`; null as long as nothing has been begun.
alter table control.idempotency add column effect text collate "C";

-- `control.request` is the request of this transaction, as a JSON array: realm, actor, operation, key.
create function control.note_request()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    request constant jsonb := current_setting('control.request')::jsonb;
begin
    update control.idempotency i set effect = tg_table_name || ' ' || new.id
    where i.realm = request ->> 0 and i.actor = request ->> 1 and i.operation = request ->> 2 and i.key = request ->> 3
      and i.effect is null and i.status is null;
    -- A worker that was stopped for so long that its request was done by another one. Clients that come with an operation
    -- are that operation's.
    if not found and tg_table_name = 'operation' then
        raise exception using errcode = 'MC409', message = 'the request with this Idempotency-Key was carried out meanwhile';
    end if;
    return null;
end
$$;
-- The parts of an operation come with it.
create trigger note_request after insert on control.operation
    for each row when (new.parent is null and current_setting('control.request', true) <> '')
    execute function control.note_request();
create trigger note_request after insert on control.client
    for each row when (current_setting('control.request', true) <> '')
    execute function control.note_request();

-- As in V0003; further outcomes are 'begun' = it began the operation whose id is the location, 'made' = it made what it asks
-- for.
create or replace function control.begin_idempotent(
    acting text, in_actor text, in_operation text, in_key text, in_digest bytea)
returns table (outcome text, status integer, location text, body text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    existing control.idempotency%rowtype;
begin
    perform set_config('control.acting', acting, true);
    delete from control.idempotency i where i.begun_at < clock_timestamp() - interval '24 hours';
    insert into control.idempotency (realm, actor, operation, key, digest)
    values (acting, in_actor, in_operation, in_key, in_digest)
    on conflict do nothing;
    if found then
        return query select 'new', null::integer, null::text, null::text;
        return;
    end if;
    select * into strict existing from control.idempotency i
    where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key
    for update;
    if existing.digest <> in_digest then
        return query select 'mismatch', null::integer, null::text, null::text;
    elsif existing.status is not null then
        return query select 'done', existing.status::integer, existing.location, existing.body;
    elsif starts_with(existing.effect, 'operation ') then
        return query select 'begun', null::integer, split_part(existing.effect, ' ', 2), null::text;
    elsif existing.effect is not null then
        return query select 'made', null::integer, null::text, null::text;
    elsif existing.begun_at < clock_timestamp() - interval '60 seconds' then
        update control.idempotency i set begun_at = clock_timestamp()
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key;
        return query select 'new', null::integer, null::text, null::text;
    else
        return query select 'busy', null::integer, null::text, null::text;
    end if;
end
$$;

-- Keeps the answer unless there is one already, and gives the one that is kept; without one the key is free again, unless
-- something was begun.
drop function control.finish_idempotent(text, text, text, text, integer, text, text);
create function control.finish_idempotent(
    acting text, in_actor text, in_operation text, in_key text, in_status integer, in_location text, in_body text)
returns table (status integer, location text, body text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if in_status is null then
        delete from control.idempotency i
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key
          and i.status is null and i.effect is null;
        return;
    end if;
    update control.idempotency i set status = in_status, location = in_location, body = in_body
    where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key and i.status is null;
    return query
        select i.status::integer, i.location, i.body from control.idempotency i
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key;
end
$$;

grant execute on function control.finish_idempotent(text, text, text, text, integer, text, text) to medcloud_gateway;
