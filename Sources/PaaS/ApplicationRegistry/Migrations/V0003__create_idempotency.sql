-- Writes of the platform API that carry an Idempotency-Key: the first one's answer, given again to the same request.
-- Rules as in V0001: row security binds the owner, functions name the acting tenant, the gateway may only call functions.

create table control.idempotency (
    realm text collate "C" not null,
    actor text collate "C" not null,
    operation text collate "C" not null check (length(operation) <= 400),
    key text collate "C" not null check (length(key) between 1 and 255),
    digest bytea not null,
    status smallint,
    location text,
    body text,
    begun_at timestamptz not null default clock_timestamp(),
    primary key (realm, actor, operation, key)
);
create index idempotency_begun_at on control.idempotency (begun_at);
alter table control.idempotency enable row level security;
alter table control.idempotency force row level security;
create policy acting on control.idempotency
    using (current_setting('control.acting', true) in (realm, 'region'))
    with check (current_setting('control.acting', true) in (realm, 'region'));

-- What to do with a request: 'new' = do it, 'done' = answer as before, 'busy' = the first is under way, 'mismatch' = the
-- key came with another body. A request that has been under way for a minute died with its worker: the next one does it.
create function control.begin_idempotent(acting text, in_actor text, in_operation text, in_key text, in_digest bytea)
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
    elsif existing.begun_at < clock_timestamp() - interval '60 seconds' then
        update control.idempotency i set begun_at = clock_timestamp()
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key;
        return query select 'new', null::integer, null::text, null::text;
    else
        return query select 'busy', null::integer, null::text, null::text;
    end if;
end
$$;

-- Keeps the answer; without one the key is free again.
create function control.finish_idempotent(
    acting text, in_actor text, in_operation text, in_key text, in_status integer, in_location text, in_body text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if in_status is null then
        delete from control.idempotency i
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key;
    else
        update control.idempotency i set status = in_status, location = in_location, body = in_body
        where i.realm = acting and i.actor = in_actor and i.operation = in_operation and i.key = in_key;
    end if;
end
$$;

grant execute on function
    control.begin_idempotent(text, text, text, text, bytea),
    control.finish_idempotent(text, text, text, text, integer, text, text)
to medcloud_gateway;
