-- The region's patient index and record locator: who is known where, and who holds what. Only identifiers, ids and counts.
-- Runs as medcloud_owner, who is bound by row security too: a function names the acting tenant in the setting
-- region.acting ('region' is the region itself), for its own duration.
--
-- The rule of the index (docs/decisions/0010): sources that share an identifier are one person; a source whose identifiers
-- are shared with two persons joins neither and becomes a match candidate. One lock serialises these decisions, and the
-- keys below hold whatever the rule does: one owner for each identifier, one person for each source.

create schema region;
alter default privileges revoke execute on functions from public;
grant usage on schema region to medcloud_gateway;

-- A person as the region knows them: the golden patient. Ids stay for ever, because consents name them.
create table region.patient (
    id uuid primary key default gen_random_uuid(),
    -- active: has sources; merged: its sources went to replaced_by; inactive: its sources are gone.
    state text not null default 'active' check (state in ('active', 'merged', 'inactive')),
    replaced_by uuid references region.patient,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    check ((state = 'merged') = (replaced_by is not null))
);

-- Which person an identifier belongs to. The system '' holds the sources themselves, as TENANT/ID: a patient that was
-- replaced by another of its institution claims the other's.
create table region.patient_identifier (
    system text collate "C" not null,
    value text collate "C" not null check (value <> ''),
    patient uuid not null references region.patient,
    primary key (system, value)
);
create index patient_identifier_patient on region.patient_identifier (patient);

-- From whom the region has heard. A token is the fence of the outbox lease: lower ones are refused.
create table region.feed (
    tenant text collate "C" primary key,
    -- The database that the tenant's rows came from; another one is another incarnation, and null is none any more.
    database text collate "C",
    token bigint not null,
    -- Counts rebuilds; what a rebuild did not meet again is removed at its end.
    epoch integer not null default 1
);
alter table region.feed enable row level security;
alter table region.feed force row level security;
create policy acting on region.feed
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- The source patients: each belongs to exactly one person. Null is a deleted one, kept so that an older event does not
-- bring it back.
create table region.patient_link (
    tenant text collate "C" not null,
    patient_id text collate "C" not null,
    patient uuid references region.patient,
    version integer not null,
    epoch integer not null,
    linked_at timestamptz not null default clock_timestamp(),
    primary key (tenant, patient_id)
);
create index patient_link_patient on region.patient_link (patient);
alter table region.patient_link enable row level security;
alter table region.patient_link force row level security;
create policy acting on region.patient_link
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- Which identifiers a source states.
create table region.patient_claim (
    tenant text collate "C" not null,
    patient_id text collate "C" not null,
    system text collate "C" not null,
    value text collate "C" not null,
    primary key (tenant, patient_id, system, value),
    foreign key (tenant, patient_id) references region.patient_link on delete cascade
);
create index patient_claim_value on region.patient_claim (system, value);
alter table region.patient_claim enable row level security;
alter table region.patient_claim force row level security;
create policy acting on region.patient_claim
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- A source that shares identifiers with several persons: it is at `patient`, and `other` is one it may be as well.
create table region.match_candidate (
    tenant text collate "C" not null,
    patient_id text collate "C" not null,
    patient uuid not null references region.patient,
    other uuid not null references region.patient,
    found_at timestamptz not null default clock_timestamp(),
    primary key (tenant, patient_id, other),
    foreign key (tenant, patient_id) references region.patient_link on delete cascade
);
alter table region.match_candidate enable row level security;
alter table region.match_candidate force row level security;
create policy acting on region.match_candidate
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- The record locator: how many resources of which type an institution holds for one of its patients.
create table region.holding (
    tenant text collate "C" not null,
    patient_id text collate "C" not null,
    type text collate "C" not null,
    count bigint not null check (count > 0),
    last_change timestamptz not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (tenant, patient_id, type),
    foreign key (tenant, patient_id) references region.patient_link on delete cascade
);
alter table region.holding enable row level security;
alter table region.holding force row level security;
create policy acting on region.holding
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- Questions. They concern every institution, so only the region may ask.

create function region.require_region(acting text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if acting is distinct from 'region' then
        raise exception using errcode = 'MC403', message = 'only the region may ask';
    end if;
end
$$;

-- The person with this identifier: one row or none.
create function region.find_patient(acting text, in_system text, in_value text)
returns table (patient uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform region.require_region(acting);
    return query
        select i.patient from region.patient_identifier i
        where i.system = in_system and i.value = in_value and in_system <> '';
end
$$;

-- The person that this id leads to today: itself, its survivor when it was merged, or nothing. One row or none.
create function region.current_patient(acting text, in_patient uuid)
returns table (patient uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform region.require_region(acting);
    return query
        with recursive survivor(id, state, replaced_by, depth) as (
            select p.id, p.state, p.replaced_by, 0 from region.patient p where p.id = in_patient
            union all
            select p.id, p.state, p.replaced_by, s.depth + 1
            from survivor s join region.patient p on p.id = s.replaced_by
            where s.depth < 32
        )
        select s.id from survivor s where s.state = 'active';
end
$$;

-- The identifiers of a person, without the sources' own.
create function region.identifiers(acting text, in_patient uuid)
returns table (system text, value text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform region.require_region(acting);
    return query
        select i.system, i.value from region.patient_identifier i
        where i.patient = in_patient and i.system <> ''
        order by i.system, i.value;
end
$$;

-- Who holds records of a person: one row for each source patient, its types in order with their counts.
create function region.holders(acting text, in_patient uuid)
returns table (tenant text, patient_id text, types text[], counts bigint[], last_change timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query
        select l.tenant, l.patient_id, coalesce(h.types, '{}'), coalesce(h.counts, '{}'), h.last_change
        from region.patient_link l
        left join lateral (
            select array_agg(h.type order by h.type) as types, array_agg(h.count order by h.type) as counts,
                   max(h.last_change) as last_change
            from region.holding h
            where h.tenant = l.tenant and h.patient_id = l.patient_id
        ) h on true
        where l.patient = in_patient
        order by l.tenant, l.patient_id;
end
$$;

-- Sources that share identifiers with several persons, oldest first.
create function region.match_candidates(acting text, in_limit integer)
returns table (tenant text, patient_id text, patient uuid, other uuid, found_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query
        select c.tenant, c.patient_id, c.patient, c.other, c.found_at
        from region.match_candidate c
        order by c.found_at, c.tenant, c.patient_id, c.other
        limit in_limit;
end
$$;

-- The rule. These run for the region, because they compare the sources of all institutions; nobody outside calls them.

-- The lock that every change of who is who holds until its transaction ends.
create function region.lock_index() returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_xact_lock(7061100)
$$;

-- Says what became of a person who may have lost the last source.
create function region.retire(in_patient uuid, in_survivor uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
begin
    if in_patient is null or exists (select from region.patient_link l where l.patient = in_patient) then
        return;
    end if;
    delete from region.patient_identifier i where i.patient = in_patient;
    update region.patient p
    set state = case when in_survivor is null then 'inactive' else 'merged' end, replaced_by = in_survivor,
        changed_at = clock_timestamp()
    where p.id = in_patient;
end
$$;

-- Puts one source where its claims say. in_depth bounds what follows from it.
create function region.place(in_tenant text, in_id text, in_depth integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_from uuid;
    v_to uuid;
    v_shared uuid[];
    v_alone boolean;
    v_carried record;
    v_has_lost boolean := false;
    v_next record;
begin
    select l.patient into v_from from region.patient_link l where l.tenant = in_tenant and l.patient_id = in_id;
    -- Whoever owns an identifier that another of their sources claims too.
    v_shared := array(
        select distinct i.patient
        from region.patient_claim c
        join region.patient_identifier i on i.system = c.system and i.value = c.value
        where c.tenant = in_tenant and c.patient_id = in_id
          and exists (
              select from region.patient_claim o
              join region.patient_link l on l.tenant = o.tenant and l.patient_id = o.patient_id
              where o.system = c.system and o.value = c.value and l.patient = i.patient
                and (o.tenant, o.patient_id) <> (in_tenant, in_id))
        order by i.patient);
    v_alone := v_from is not null and not exists (
        select from region.patient_link l
        where l.patient = v_from and (l.tenant, l.patient_id) <> (in_tenant, in_id));

    if not exists (select from region.patient_claim c where c.tenant = in_tenant and c.patient_id = in_id) then
        v_to := null;
    elsif cardinality(v_shared) = 1 then
        v_to := v_shared[1];
    elsif v_alone or v_from = any (v_shared) then
        v_to := v_from;
    else
        insert into region.patient default values returning id into v_to;
    end if;

    delete from region.match_candidate c where c.tenant = in_tenant and c.patient_id = in_id;
    if cardinality(v_shared) > 1 then
        insert into region.match_candidate (tenant, patient_id, patient, other)
        select in_tenant, in_id, v_to, s.other from unnest(v_shared) as s(other) where s.other <> v_to;
    end if;

    if v_to is distinct from v_from then
        update region.patient_link l set patient = v_to, linked_at = clock_timestamp()
        where l.tenant = in_tenant and l.patient_id = in_id;
        -- What only this source claimed of its former person's identifiers goes with it, or goes away.
        for v_carried in
            select i.system, i.value,
                   exists (select from region.patient_claim c
                           where c.tenant = in_tenant and c.patient_id = in_id
                             and c.system = i.system and c.value = i.value) as is_claimed
            from region.patient_identifier i
            where i.patient = v_from
              and not exists (
                  select from region.patient_claim o
                  join region.patient_link l on l.tenant = o.tenant and l.patient_id = o.patient_id
                  where o.system = i.system and o.value = i.value and l.patient = v_from)
        loop
            if v_carried.is_claimed and v_to is not null then
                update region.patient_identifier i set patient = v_to
                where i.system = v_carried.system and i.value = v_carried.value;
            else
                v_has_lost := true;
                delete from region.patient_identifier i
                where i.system = v_carried.system and i.value = v_carried.value;
            end if;
        end loop;
        -- A person whose every identifier went along is the same one; otherwise it was somebody's mistake.
        perform region.retire(v_from, case when not v_has_lost and cardinality(v_shared) = 1 then v_to end);
    end if;
    if v_to is not null then
        insert into region.patient_identifier (system, value, patient)
        select c.system, c.value, v_to
        from region.patient_claim c
        where c.tenant = in_tenant and c.patient_id = in_id
        on conflict (system, value) do nothing;
    end if;

    -- Others that were kept apart by what has just moved look again.
    if v_to is distinct from v_from and in_depth > 0 then
        for v_next in
            select distinct o.tenant, o.patient_id
            from region.patient_claim c
            join region.patient_claim o on o.system = c.system and o.value = c.value
            join region.match_candidate m on m.tenant = o.tenant and m.patient_id = o.patient_id
            where c.tenant = in_tenant and c.patient_id = in_id
              and (o.tenant, o.patient_id) <> (in_tenant, in_id)
            order by o.tenant, o.patient_id
        loop
            perform region.place(v_next.tenant, v_next.patient_id, in_depth - 1);
        end loop;
    end if;
end
$$;

-- The sources of a person that hang together with one of them by shared identifiers.
create function region.component(in_patient uuid, in_tenant text, in_id text)
returns table (tenant text, patient_id text)
language sql stable
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
    with recursive reached(tenant, patient_id) as (
        select in_tenant collate "C", in_id collate "C"
        union
        select l.tenant, l.patient_id
        from reached r
        join region.patient_claim mine on mine.tenant = r.tenant and mine.patient_id = r.patient_id
        join region.patient_claim theirs on theirs.system = mine.system and theirs.value = mine.value
        join region.patient_link l on l.tenant = theirs.tenant and l.patient_id = theirs.patient_id
        where l.patient = in_patient
    )
    select r.tenant, r.patient_id from reached r
$$;

-- Separates the sources of a person that nothing holds together any more. The longest-linked one keeps the person.
create function region.split(in_patient uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_first record;
    v_apart record;
    v_new uuid;
begin
    loop
        select l.tenant, l.patient_id into v_first
        from region.patient_link l where l.patient = in_patient
        order by l.linked_at, l.tenant, l.patient_id limit 1;
        exit when not found;
        select l.tenant, l.patient_id into v_apart
        from region.patient_link l
        where l.patient = in_patient
          and (l.tenant, l.patient_id) not in (
              select c.tenant, c.patient_id from region.component(in_patient, v_first.tenant, v_first.patient_id) c)
        order by l.linked_at, l.tenant, l.patient_id limit 1;
        exit when not found;

        insert into region.patient default values returning id into v_new;
        with apart as materialized (
            select c.tenant, c.patient_id from region.component(in_patient, v_apart.tenant, v_apart.patient_id) c
        ), owned as (
            update region.patient_identifier i set patient = v_new
            where i.patient = in_patient
              and exists (
                  select from apart a
                  join region.patient_claim c on c.tenant = a.tenant and c.patient_id = a.patient_id
                  where c.system = i.system and c.value = i.value)
        )
        update region.patient_link l set patient = v_new
        from apart a where l.tenant = a.tenant and l.patient_id = a.patient_id;
        update region.patient p set changed_at = clock_timestamp() where p.id = in_patient;
    end loop;
end
$$;

-- Gives one source its claims, and follows what comes of it. No claims at all is a deleted source.
create function region.settle(in_tenant text, in_id text, in_systems text[], in_values text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_from uuid;
    v_systems text[];
    v_values text[];
    v_dropped record;
    v_next record;
begin
    select l.patient into v_from from region.patient_link l where l.tenant = in_tenant and l.patient_id = in_id;
    with dropped as (
        delete from region.patient_claim c
        where c.tenant = in_tenant and c.patient_id = in_id
          and not exists (
              select from unnest(in_systems, in_values) as n(system, value)
              where n.system = c.system and n.value = c.value)
        returning c.system, c.value
    )
    select coalesce(array_agg(d.system), '{}'), coalesce(array_agg(d.value), '{}') into v_systems, v_values
    from dropped d;
    insert into region.patient_claim (tenant, patient_id, system, value)
    select in_tenant, in_id, n.system, n.value from unnest(in_systems, in_values) as n(system, value)
    on conflict do nothing;

    perform region.place(in_tenant, in_id, 4);

    -- An identifier that its owner's sources claim no longer belongs to whoever else claims it.
    for v_dropped in
        select d.system, d.value from unnest(v_systems, v_values) as d(system, value)
        where not exists (
            select from region.patient_identifier i
            join region.patient_link l on l.patient = i.patient
            join region.patient_claim c on c.tenant = l.tenant and c.patient_id = l.patient_id
            where i.system = d.system and i.value = d.value and c.system = d.system and c.value = d.value)
    loop
        delete from region.patient_identifier i where i.system = v_dropped.system and i.value = v_dropped.value;
        for v_next in
            select c.tenant, c.patient_id from region.patient_claim c
            where c.system = v_dropped.system and c.value = v_dropped.value
            order by c.tenant, c.patient_id
        loop
            perform region.place(v_next.tenant, v_next.patient_id, 4);
        end loop;
    end loop;
    if cardinality(v_systems) > 0 and v_from is not null then
        perform region.split(v_from);
    end if;
end
$$;

-- Feeds. Each takes the acting tenant, the database that the rows come from and the token of the outbox lease.

-- Holds the tenant's feed until the transaction ends. Raises MC423 when a later lease or another database has taken over.
create function region.fence(acting text, in_database text, in_token bigint) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_epoch integer;
begin
    update region.feed f set token = in_token
    where f.tenant = acting and f.database = in_database and f.token <= in_token
    returning f.epoch into v_epoch;
    if v_epoch is null then
        raise exception using errcode = 'MC423', message = 'the lease was lost';
    end if;
    return v_epoch;
end
$$;

-- Begins or goes on with a tenant's feed. false: sources of an earlier database of this tenant are to be removed first,
-- with region.forget_sources.
create function region.begin_feed(acting text, in_database text, in_token bigint) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_database text;
begin
    perform set_config('region.acting', acting, true);
    insert into region.feed (tenant, database, token) values (acting, in_database, in_token)
    on conflict (tenant) do nothing;
    select f.database into v_database from region.feed f where f.tenant = acting for update;
    if v_database is null then
        update region.feed f set database = in_database where f.tenant = acting;
    elsif v_database <> in_database then
        return false;
    end if;
    perform region.fence(acting, in_database, in_token);
    return true;
end
$$;

-- Takes in source patients with what they claim, and new counts. Older versions than those known are left out, so events
-- may come again and in any order.
--   in_ids, in_versions, in_deleted: the sources; in_claim_source is a source's ordinal from 1.
--   in_counted: the patients that were counted; in_holding_source is such a patient's ordinal from 1.
create function region.apply_sources(
    acting text, in_database text, in_token bigint,
    in_ids text[], in_versions integer[], in_deleted boolean[],
    in_claim_source integer[], in_claim_system text[], in_claim_value text[],
    in_counted text[], in_holding_source integer[], in_holding_type text[], in_holding_count bigint[],
    in_holding_last timestamptz[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
    v_source record;
    v_link region.patient_link;
    v_is_known boolean;
    v_systems text[];
    v_values text[];
begin
    perform set_config('region.acting', acting, true);
    v_epoch := region.fence(acting, in_database, in_token);
    if cardinality(in_ids) > 0 then
        -- Before the first row, so that two feeds never wait for each other's.
        perform region.lock_index();
    end if;
    for v_source in
        select s.id, s.version, s.is_deleted, s.ordinal::integer as ordinal
        from unnest(in_ids, in_versions, in_deleted) with ordinality as s(id, version, is_deleted, ordinal)
        order by s.id, s.version
    loop
        select l.* into v_link from region.patient_link l where l.tenant = acting and l.patient_id = v_source.id;
        v_is_known := found;
        continue when v_is_known and v_link.epoch = v_epoch and v_link.version > v_source.version;
        if v_is_known then
            update region.patient_link l set version = v_source.version, epoch = v_epoch
            where l.tenant = acting and l.patient_id = v_source.id;
        else
            insert into region.patient_link (tenant, patient_id, version, epoch)
            values (acting, v_source.id, v_source.version, v_epoch);
        end if;
        v_systems := '{}';
        v_values := '{}';
        if not v_source.is_deleted then
            select array_agg(n.system), array_agg(n.value) into v_systems, v_values
            from (
                select '' as system, acting || '/' || v_source.id as value
                union
                select c.system, c.value
                from unnest(in_claim_source, in_claim_system, in_claim_value) as c(source, system, value)
                where c.source = v_source.ordinal
            ) n;
        end if;
        -- Most updates of a patient leave the claims alone.
        continue when v_is_known and not exists (
            (select n.system, n.value from unnest(v_systems, v_values) as n(system, value)
             except
             select c.system, c.value from region.patient_claim c
             where c.tenant = acting and c.patient_id = v_source.id)
            union all
            (select c.system, c.value from region.patient_claim c
             where c.tenant = acting and c.patient_id = v_source.id
             except
             select n.system, n.value from unnest(v_systems, v_values) as n(system, value)));
        perform region.settle(acting, v_source.id, v_systems, v_values);
        if v_source.is_deleted then
            delete from region.holding h where h.tenant = acting and h.patient_id = v_source.id;
        end if;
    end loop;

    if cardinality(in_counted) > 0 then
        delete from region.holding h
        where h.tenant = acting and h.patient_id = any (in_counted)
          and not exists (
              select from unnest(in_holding_source, in_holding_type) as n(source, type)
              where in_counted[n.source] = h.patient_id and n.type = h.type);
        insert into region.holding as h (tenant, patient_id, type, count, last_change)
        select acting, in_counted[n.source], n.type, n.count, n.last_change
        from unnest(in_holding_source, in_holding_type, in_holding_count, in_holding_last)
            as n(source, type, count, last_change)
        join region.patient_link l on l.tenant = acting and l.patient_id = in_counted[n.source]
        where l.patient is not null
        on conflict (tenant, patient_id, type) do update
        set count = excluded.count, last_change = excluded.last_change, noted_at = clock_timestamp()
        where (h.count, h.last_change) <> (excluded.count, excluded.last_change);
    end if;
end
$$;

-- Removes up to in_limit of a tenant's sources whose epoch is below in_epoch.
create function region.remove_sources(in_tenant text, in_epoch integer, in_limit integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_source record;
    v_count integer := 0;
begin
    perform region.lock_index();
    for v_source in
        select l.patient_id from region.patient_link l
        where l.tenant = in_tenant and l.epoch < in_epoch
        order by l.patient_id limit in_limit
    loop
        perform region.settle(in_tenant, v_source.patient_id, '{}', '{}');
        delete from region.patient_link l where l.tenant = in_tenant and l.patient_id = v_source.patient_id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

-- Begins to hear everything again: what is not met until region.end_rebuild is removed by it.
create function region.begin_rebuild(acting text, in_database text, in_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform region.fence(acting, in_database, in_token);
    update region.feed f set epoch = f.epoch + 1 where f.tenant = acting;
end
$$;

-- Ends a rebuild, in_limit sources at a time. Returns how many were removed; call it until none is.
create function region.end_rebuild(acting text, in_database text, in_token bigint, in_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
begin
    perform set_config('region.acting', acting, true);
    v_epoch := region.fence(acting, in_database, in_token);
    return region.remove_sources(acting, v_epoch, in_limit);
end
$$;

-- Which tenants' sources the region holds, by the database they came from.
create function region.feeds(acting text) returns table (tenant text, database text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query select f.tenant, f.database from region.feed f where f.database is not null order by f.tenant;
end
$$;

-- Forgets the sources of a tenant's database that is gone, in_limit at a time. Returns how many were removed; the feed is
-- free for another database when none is.
create function region.forget_sources(acting text, in_tenant text, in_database text, in_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
    v_count integer;
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    select f.epoch into v_epoch from region.feed f
    where f.tenant = in_tenant and f.database = in_database for update;
    if v_epoch is null then
        return 0;
    end if;
    v_count := region.remove_sources(in_tenant, v_epoch + 1, in_limit);
    if v_count = 0 then
        update region.feed f set database = null where f.tenant = in_tenant;
    end if;
    return v_count;
end
$$;

grant execute on function
    region.find_patient(text, text, text),
    region.current_patient(text, uuid),
    region.identifiers(text, uuid),
    region.holders(text, uuid),
    region.match_candidates(text, integer),
    region.begin_feed(text, text, bigint),
    region.apply_sources(text, text, bigint, text[], integer[], boolean[], integer[], text[], text[], text[], integer[],
        text[], bigint[], timestamptz[]),
    region.begin_rebuild(text, text, bigint),
    region.end_rebuild(text, text, bigint, integer),
    region.feeds(text),
    region.forget_sources(text, text, text, integer)
to medcloud_gateway;
