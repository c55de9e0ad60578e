-- The copy of the region's booking blacklist: who may not book from when until when. Nobody decides here; BookingBlacklist
-- brings it to what the region says, under a lease (docs/decisions/0014-blacklist-is-copied.md).
create schema blacklist;

-- One row: how far the copy is.
create table blacklist.copy (
    id        boolean primary key default true check (id),
    -- The region's last change in it, and that change's mark.
    position  bigint not null default 0,
    mark      uuid,
    -- The fence: of the lease that changed it last.
    token     bigint not null default 0,
    -- Counts beginnings: what was not met again since the last one is removed when the copy is whole.
    epoch     integer not null default 1,
    copied_at timestamptz
);
insert into blacklist.copy default values;

-- The entries that bar. Systems and values are in the region's form of identifiers.
create table blacklist.entry (
    id     uuid primary key,
    system text collate "C" not null,
    value  text collate "C" not null,
    starts timestamptz not null,
    ends   timestamptz not null,
    epoch  integer not null
);
create index entry_person on blacklist.entry (system, value, ends);

-- Whether a person with these identifiers is barred at this time; the statement that books asks it in its transaction.
create function blacklist.is_barred(p_systems text[], p_values text[], p_at timestamptz) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from unnest(p_systems, p_values) as p(system, value)
        join blacklist.entry e on e.system = p.system and e.value = p.value
        where e.starts <= p_at and e.ends > p_at)
$$;

-- Takes the copy for the holder of a lease. is_whole false: it was begun anew and not brought to its end. Raises MC423,
-- DETAIL = the token that is known, when a later lease was here.
create function blacklist.take(p_token bigint)
returns table ("position" bigint, mark text, is_whole boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        update blacklist.copy c set token = p_token where c.token <= p_token
        returning c.position, c.mark::text,
                  not exists (select from blacklist.entry e where e.epoch < c.epoch);
    if not found then
        raise exception using errcode = 'MC423', message = 'the lease was lost',
            detail = (select c.token from blacklist.copy c);
    end if;
end
$$;

-- Holds the copy until the transaction ends.
create function blacklist.fence(p_token bigint) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_epoch integer;
begin
    select c.epoch into v_epoch from blacklist.copy c where c.token = p_token for update;
    if v_epoch is null then
        raise exception using errcode = 'MC423', message = 'the lease was lost';
    end if;
    return v_epoch;
end
$$;

-- Begins from nothing. What is there bars until the copy is whole again.
create function blacklist.begin_anew(p_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform blacklist.fence(p_token);
    update blacklist.copy c set position = 0, mark = null, epoch = c.epoch + 1;
end
$$;

-- Takes in entries as they are now, and the position that the copy has with them. p_is_whole: nothing comes after them.
create function blacklist.apply(
    p_token bigint, p_position bigint, p_mark uuid, p_is_whole boolean, p_ids text[], p_systems text[], p_values text[],
    p_starts timestamptz[], p_ends timestamptz[], p_bars boolean[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_epoch integer;
begin
    v_epoch := blacklist.fence(p_token);
    delete from blacklist.entry e
    using unnest(p_ids, p_bars) as n(id, bars)
    where e.id = n.id::uuid and not n.bars;
    insert into blacklist.entry as e (id, system, value, starts, ends, epoch)
    select n.id::uuid, n.system, n.value, n.starts, n.ends, v_epoch
    from unnest(p_ids, p_systems, p_values, p_starts, p_ends, p_bars) as n(id, system, value, starts, ends, bars)
    where n.bars
    on conflict (id) do update
    set system = excluded.system, value = excluded.value, starts = excluded.starts, ends = excluded.ends,
        epoch = excluded.epoch;
    if p_is_whole then
        -- What was there before the last beginning and was not met again.
        delete from blacklist.entry e where e.epoch < v_epoch;
    end if;
    update blacklist.copy c set position = p_position, mark = p_mark, copied_at = clock_timestamp();
end
$$;

revoke all on all functions in schema blacklist from public;

do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'medcloud_tenant') then
        grant usage on schema blacklist to medcloud_tenant;
        grant execute on function blacklist.is_barred(text[], text[], timestamptz) to medcloud_tenant;
        grant execute on function blacklist.take(bigint) to medcloud_tenant;
        grant execute on function blacklist.begin_anew(bigint) to medcloud_tenant;
        grant execute on function blacklist.apply(bigint, bigint, uuid, boolean, text[], text[], text[], timestamptz[],
            timestamptz[], boolean[]) to medcloud_tenant;
    end if;
end
$$;
