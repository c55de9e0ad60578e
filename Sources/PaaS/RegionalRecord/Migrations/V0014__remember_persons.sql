-- Persons that are remembered. Whoever loses the last source keeps the log, and is the same person again when a source states
-- what they were known by: otherwise a record that is deleted, or an identifier that is mistyped and corrected, would part
-- a person from the consents, denials and accesses that name them. Rules as in V0001.

-- What a person without sources was known by: a merged one, as before, and now one whose sources are gone too. It stays when
-- nobody states it, so it is not bound to an owner.
alter table region.merged_identifier rename to remembered_identifier;
alter table region.remembered_identifier
    drop constraint merged_identifier_system_value_fkey;
alter table region.remembered_identifier rename constraint merged_identifier_pkey to remembered_identifier_pkey;
alter table region.remembered_identifier
    rename constraint merged_identifier_patient_fkey to remembered_identifier_patient_fkey;
alter index region.merged_identifier_patient rename to remembered_identifier_patient;

-- The person that this id leads to, with sources or without. One row or none.
create function region.lasting_patient(in_patient uuid) returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive survivor(id, replaced_by, depth) as (
        select p.id, p.replaced_by, 0 from region.patient p where p.id = in_patient
        union all
        select p.id, p.replaced_by, s.depth + 1
        from survivor s join region.patient p on p.id = s.replaced_by
        where s.depth < 32
    )
    select s.id from survivor s where s.replaced_by is null
$$;

-- The persons without sources who are remembered by what these sources state, the longest-known first. One that was merged
-- into another of them comes with that one. in_own: by the sources' own ids rather than by identifiers, the last one first.
create function region.remembered(in_tenants text[], in_ids text[], in_own boolean) returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
    with known as materialized (
        select distinct p.id, p.created_at, p.changed_at
        from unnest(in_tenants, in_ids) as s(tenant, patient_id)
        join region.patient_claim c on c.tenant = s.tenant and c.patient_id = s.patient_id and (c.system = '') = in_own
        join region.remembered_identifier m on m.system = c.system and m.value = c.value
        join region.patient p on p.id = m.patient
        where exists (
            select from region.patient l where l.id = region.lasting_patient(p.id) and l.state = 'inactive')
    )
    select coalesce(array_agg(k.id order by case when in_own then k.changed_at end desc, k.created_at, k.id), '{}')
    from known k
    where not exists (select from known o where o.id <> k.id and k.id = any (region.known_as(o.id)))
$$;

-- Says what became of a person who may have lost the last source, and what they are remembered by. Of those whose sources are
-- gone, only whom a consent or the log names.
drop function region.retire(uuid, uuid);
create function region.retire(in_patient uuid, in_survivor uuid, in_systems text[], in_values text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_known uuid[] := region.known_as(in_patient);
begin
    if in_patient is null or exists (select from region.patient_link l where l.patient = in_patient) then
        return;
    end if;
    delete from region.patient_identifier i where i.patient = in_patient;
    update region.patient p
    set state = case when in_survivor is null then 'inactive' else 'merged' end, replaced_by = in_survivor,
        changed_at = clock_timestamp()
    where p.id = in_patient;
    if in_survivor is not null
        or exists (select from region.consent c where c.patient = any (v_known))
        or exists (select from region.audit_event e where e.patient = any (v_known)) then
        insert into region.remembered_identifier (patient, system, value)
        select in_patient, n.system, n.value
        from unnest(in_systems, in_values) as n(system, value)
        where not exists (
            select from region.remembered_identifier m
            where m.system = n.system and m.value = n.value and m.patient = any (v_known));
    end if;
end
$$;

-- As in V0007.
create or replace function region.merged_with(in_patient uuid, in_tenants text[], in_ids text[]) returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
    with recursive merged(id, created_at, depth) as (
        select p.id, p.created_at, 1 from region.patient p where p.replaced_by = in_patient
        union all
        select p.id, p.created_at, m.depth + 1
        from merged m join region.patient p on p.replaced_by = m.id
        where m.depth < 32
    ), stated as (
        select m.id, m.created_at, m.depth
        from merged m
        join region.remembered_identifier i on i.patient = m.id
        join region.patient_claim c on c.system = i.system and c.value = i.value
        join region.patient_link l on l.tenant = c.tenant and l.patient_id = c.patient_id
        where l.patient = in_patient
        group by m.id, m.created_at, m.depth
        having bool_and(exists (
            select from unnest(in_tenants, in_ids) as s(tenant, patient_id)
            where s.tenant = l.tenant and s.patient_id = l.patient_id))
    )
    select coalesce(array_agg(s.id order by s.depth, s.created_at, s.id), '{}') from stated s
$$;

create or replace function region.states_own(in_patient uuid, in_tenant text, in_id text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
    select exists (
        select from region.patient_claim c
        join region.patient_identifier i on i.system = c.system and i.value = c.value
        where c.tenant = in_tenant and c.patient_id = in_id and i.patient = in_patient
          and not exists (
              select from region.remembered_identifier m
              where m.system = i.system and m.value = i.value and m.patient = any (region.known_as(in_patient))))
$$;

-- The person for sources that leave another one: the first of these, or a new one.
create or replace function region.return_or_make(in_taken uuid[]) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_patient uuid := in_taken[1];
begin
    if v_patient is null then
        insert into region.patient default values returning id into v_patient;
    else
        update region.patient p set state = 'active', replaced_by = null, changed_at = clock_timestamp()
        where p.id = v_patient;
        delete from region.remembered_identifier m where m.patient = v_patient;
    end if;
    return v_patient;
end
$$;

-- As in V0007; one whose sources are gone has no survivor yet.
create or replace function region.take_along(in_taken uuid[], in_to uuid) returns void
language sql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
    update region.patient p set state = 'merged', replaced_by = in_to, changed_at = clock_timestamp()
    where p.id = any (in_taken) and p.id <> in_to and (p.replaced_by is null or p.replaced_by <> all (in_taken))
$$;

-- As in V0007, but a source that shares nothing with anybody, and is alone or leaves, is of the person who is remembered by what
-- it states; and the survivor of a merge stays with the last source that states what is its own.
create or replace function region.place(in_tenant text, in_id text, in_depth integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_from uuid;
    v_to uuid;
    v_shared uuid[];
    v_alone boolean;
    v_taken uuid[] := '{}';
    v_remembered uuid[];
    v_carried record;
    v_systems text[] := '{}';
    v_values text[] := '{}';
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
    if v_from is not null then
        v_taken := region.merged_with(v_from, array[in_tenant], array[in_id]);
    end if;
    v_remembered := region.remembered(array[in_tenant], array[in_id], false);

    if not exists (select from region.patient_claim c where c.tenant = in_tenant and c.patient_id = in_id) then
        v_to := null;
    elsif cardinality(v_shared) = 1 then
        v_to := v_shared[1];
        v_remembered := '{}';
    elsif v_from = any (v_shared)
        -- The last source of those that were merged, when it states nothing more of the survivor, is theirs again.
        or v_alone and v_remembered = '{}' and (v_taken = '{}' or region.states_own(v_from, in_tenant, in_id))
        -- The last source of the survivor stays: it is the others that part.
        or not v_alone and v_remembered = '{}' and v_taken = '{}' and region.states_own(v_from, in_tenant, in_id)
            and not exists (
                select from region.patient_link l
                where l.patient = v_from and (l.tenant, l.patient_id) <> (in_tenant, in_id)
                  and region.states_own(v_from, l.tenant, l.patient_id)) then
        v_to := v_from;
        v_remembered := '{}';
    elsif v_remembered <> '{}' or v_taken <> '{}' then
        v_to := region.return_or_make(v_remembered || v_taken);
    else
        v_to := region.return_or_make(region.remembered(array[in_tenant], array[in_id], true));
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
            v_systems := v_systems || v_carried.system;
            v_values := v_values || v_carried.value;
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
        perform region.retire(
            v_from,
            case when not v_has_lost and (cardinality(v_shared) = 1 or v_remembered <> '{}') then v_to end,
            v_systems, v_values);
        if v_to is not null then
            if not exists (select from region.patient p where p.id = v_from and p.replaced_by = v_to) then
                perform region.take_along(v_taken, v_to);
            end if;
            perform region.take_along(v_remembered, v_to);
        end if;
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

-- As in V0007, but those that part are of the person who is remembered by what they state.
create or replace function region.split(in_patient uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_first record;
    v_apart record;
    v_tenants text[];
    v_ids text[];
    v_taken uuid[];
    v_new uuid;
begin
    loop
        select l.tenant, l.patient_id into v_first
        from region.patient_link l where l.patient = in_patient
        order by region.states_own(in_patient, l.tenant, l.patient_id) desc, l.linked_at, l.tenant, l.patient_id limit 1;
        exit when not found;
        select l.tenant, l.patient_id into v_apart
        from region.patient_link l
        where l.patient = in_patient
          and (l.tenant, l.patient_id) not in (
              select c.tenant, c.patient_id from region.component(in_patient, v_first.tenant, v_first.patient_id) c)
        order by l.linked_at, l.tenant, l.patient_id limit 1;
        exit when not found;

        select array_agg(c.tenant), array_agg(c.patient_id) into v_tenants, v_ids
        from region.component(in_patient, v_apart.tenant, v_apart.patient_id) c;
        v_taken := region.remembered(v_tenants, v_ids, false) || region.merged_with(in_patient, v_tenants, v_ids);
        if v_taken = '{}' then
            v_taken := (region.remembered(v_tenants, v_ids, true))[:1];
        end if;
        v_new := region.return_or_make(v_taken);
        update region.patient_identifier i set patient = v_new
        where i.patient = in_patient
          and exists (
              select from unnest(v_tenants, v_ids) as a(tenant, patient_id)
              join region.patient_claim c on c.tenant = a.tenant and c.patient_id = a.patient_id
              where c.system = i.system and c.value = i.value);
        update region.patient_link l set patient = v_new
        from unnest(v_tenants, v_ids) as a(tenant, patient_id)
        where l.tenant = a.tenant and l.patient_id = a.patient_id;
        perform region.take_along(v_taken, v_new);
        update region.patient p set changed_at = clock_timestamp() where p.id = in_patient;
    end loop;
end
$$;

-- Whether anybody is remembered by one of these.
create function region.is_remembered(in_systems text[], in_values text[]) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
    select exists (
        select from unnest(in_systems, in_values) as n(system, value)
        join region.remembered_identifier m on m.system = n.system and m.value = n.value)
$$;

-- As in V0004; who is remembered is looked for.
create or replace function region.apply_sources(
    acting text, in_database text, in_token bigint,
    in_ids text[], in_versions integer[], in_deleted boolean[],
    in_claim_source integer[], in_claim_system text[], in_claim_value text[],
    in_counted text[], in_holding_source integer[], in_holding_type text[], in_holding_count bigint[],
    in_holding_last timestamptz[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
set enable_seqscan = off
as $$
declare
    v_epoch integer;
    v_source record;
    v_patient uuid;
    v_same_ids text[] := '{}';
    v_same_versions integer[] := '{}';
begin
    perform set_config('region.acting', acting, true);
    v_epoch := region.fence(acting, in_database, in_token);
    if cardinality(in_ids) > 0 then
        -- Before the first row, so that two feeds never wait for each other's.
        perform region.lock_index();
    end if;
    for v_source in
        with stated as (
            select distinct on (s.id) s.id, s.version, s.is_deleted, s.ordinal::integer as ordinal
            from unnest(in_ids, in_versions, in_deleted) with ordinality as s(id, version, is_deleted, ordinal)
            order by s.id, s.version desc
        ), claimed as (
            select c.source, array_agg(c.system order by c.system collate "C", c.value collate "C") as systems,
                   array_agg(c.value order by c.system collate "C", c.value collate "C") as values
            from (
                select u.source, u.system, u.value
                from unnest(in_claim_source, in_claim_system, in_claim_value) as u(source, system, value)
                union
                select s.ordinal, '', acting || '/' || s.id from stated s
            ) c
            group by c.source
        )
        select s.id, s.version, s.is_deleted, coalesce(c.systems, '{}') as systems, coalesce(c.values, '{}') as values,
               l.version is not null as is_known, l.version as known_version, l.epoch as known_epoch,
               k.systems as known_systems, k.values as known_values
        from stated s
        left join claimed c on c.source = s.ordinal and not s.is_deleted
        -- offset 0: one look by the whole key for each, whatever the planner believes of the table's size.
        left join lateral (
            select k.version, k.epoch from region.patient_link k
            where k.tenant = acting and k.patient_id = s.id offset 0
        ) l on true
        left join lateral (
            select coalesce(array_agg(p.system order by p.system, p.value), '{}') as systems,
                   coalesce(array_agg(p.value order by p.system, p.value), '{}') as values
            from region.patient_claim p
            where p.tenant = acting and p.patient_id = s.id offset 0
        ) k on true
        order by s.id
    loop
        continue when v_source.is_known and v_source.known_epoch = v_epoch
            and v_source.known_version > v_source.version;
        if v_source.is_known and v_source.known_systems = v_source.systems
            and v_source.known_values = v_source.values then
            v_same_ids := v_same_ids || v_source.id;
            v_same_versions := v_same_versions || v_source.version;
        elsif not v_source.is_known and not v_source.is_deleted and not exists (
            select from unnest(v_source.systems, v_source.values) as n(system, value)
            join region.patient_identifier i on i.system = n.system and i.value = n.value)
            and not region.is_remembered(v_source.systems, v_source.values) then
            insert into region.patient default values returning id into v_patient;
            insert into region.patient_link (tenant, patient_id, patient, version, epoch)
            values (acting, v_source.id, v_patient, v_source.version, v_epoch);
            insert into region.patient_claim (tenant, patient_id, system, value)
            select acting, v_source.id, n.system, n.value
            from unnest(v_source.systems, v_source.values) as n(system, value);
            insert into region.patient_identifier (system, value, patient)
            select n.system, n.value, v_patient from unnest(v_source.systems, v_source.values) as n(system, value);
        else
            insert into region.patient_link as l (tenant, patient_id, version, epoch)
            values (acting, v_source.id, v_source.version, v_epoch)
            on conflict (tenant, patient_id) do update set version = excluded.version, epoch = excluded.epoch;
            perform region.settle(acting, v_source.id, v_source.systems, v_source.values);
            if v_source.is_deleted then
                delete from region.holding h where h.tenant = acting and h.patient_id = v_source.id;
            end if;
        end if;
    end loop;
    if cardinality(v_same_ids) > 0 then
        update region.patient_link l set version = n.version, epoch = v_epoch
        from unnest(v_same_ids, v_same_versions) as n(id, version)
        where l.patient_id = n.id
          and l.ctid = any (array(
              select k.place from unnest(v_same_ids) as m(id)
              cross join lateral (
                  select p.ctid as place from region.patient_link p
                  where p.tenant = acting and p.patient_id = m.id offset 0
              ) k));
    end if;

    if cardinality(in_counted) > 0 then
        with counted as materialized (
            select c.id, n.type, n.count, n.last_change
            from unnest(in_counted) with ordinality as c(id, ordinal)
            join unnest(in_holding_source, in_holding_type, in_holding_count, in_holding_last)
                as n(source, type, count, last_change) on n.source = c.ordinal
        ), gone as (
            delete from region.holding h
            where h.ctid = any (array(
                select k.place from unnest(in_counted) as m(id)
                cross join lateral (
                    select p.ctid as place, p.type from region.holding p
                    where p.tenant = acting and p.patient_id = m.id offset 0
                ) k
                where (m.id, k.type) not in (select c.id, c.type from counted c)))
        )
        insert into region.holding as h (tenant, patient_id, type, count, last_change)
        select acting, c.id, c.type, c.count, c.last_change
        from counted c
        cross join lateral (
            select p.patient from region.patient_link p
            where p.tenant = acting and p.patient_id = c.id offset 0
        ) l
        where l.patient is not null
        on conflict (tenant, patient_id, type) do update
        set count = excluded.count, last_change = excluded.last_change, noted_at = clock_timestamp()
        where (h.count, h.last_change) <> (excluded.count, excluded.last_change);
    end if;
end
$$;

-- As in V0001. Nobody is remembered by the id of a source that its institution has no more: it may come again for somebody else.
create or replace function region.remove_sources(in_tenant text, in_epoch integer, in_limit integer) returns integer
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
        delete from region.remembered_identifier m
        where m.system = '' and m.value = in_tenant || '/' || v_source.patient_id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

-- As in V0005; the log stays when the sources are gone.
create or replace function region.access_log(acting text, asker text[], in_patient uuid, in_before bigint, in_limit int4,
                                  in_query text)
returns table (seq bigint, recorded timestamptz, action text, interaction int2, outcome int2, client text,
               practitioner text, purpose text, request_id text, source text, type int2, resource_id text, version int4,
               patient text, query text, institution text, reason text, holders text[], consents text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    about uuid;
begin
    perform set_config('region.acting', 'region', true);
    about := region.lasting_patient(in_patient);
    if about is null then
        perform region.add_audit(acting, asker, 'E', 10::int2, 4::int2, 7::int2, null, null, null, in_query, 'not-found',
            null, null, null);
        return;
    end if;
    return query
        select e.seq, e.recorded, e.action::text, e.interaction, e.outcome, e.client, e.practitioner, e.purpose,
            e.request_id, e.source, e.type, e.resource_id, e.version, e.patient::text, e.query, e.institution, e.reason,
            coalesce(e.holders, '{}'), coalesce(e.consents, '{}')
        from region.audit_event e
        where e.patient = any (region.known_as(about)) and (in_before is null or e.seq < in_before)
        order by e.seq desc
        limit in_limit;
    perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 7::int2, null, null, about, in_query, null, null,
        null, null);
end
$$;

-- As in V0008; what is asked of a person whose sources are gone is in that log.
create or replace function region.decide(
    acting text, asker text[], in_patient uuid, in_alias text, in_action "char", in_interaction int2, in_type int2,
    in_resource text, in_version int4, in_query text)
returns table (patient uuid, decision bigint, permit boolean, reason text, holder text, patient_id text, alias text,
               types int2[], database text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    about uuid;
    own_tenant text;
    own_patient text;
    allowed int2[];
    -- Consents that the sum consists of; null when none permits anything.
    grounds text[];
    link record;
    sum_verdict text;
    verdict text;
    next_decision bigint;
    opened text[] := '{}';
    any_record boolean := false;
begin
    if asker[2] is null or asker[3] is null then
        raise exception using errcode = 'MC403', message = 'a crossing needs a practitioner and a purpose';
    end if;
    if asker[6] is null or asker[7] is null then
        raise exception using errcode = 'MC403', message = 'a crossing needs an institution of this region';
    end if;
    perform set_config('region.acting', 'region', true);
    if in_alias is null then
        select c.patient into about from region.current_patient('region', in_patient) c;
    else
        select l.patient, a.tenant, a.patient_id into about, own_tenant, own_patient
        from region.record_alias a
        join region.patient_link l on l.tenant = a.tenant and l.patient_id = a.patient_id
        where a.alias = in_alias;
    end if;
    if about is null then
        perform region.add_audit(acting, asker, in_action, in_interaction, 4::int2, in_type, in_resource, in_version,
            region.lasting_patient(in_patient), in_query, 'not-found', null, null);
        return;
    end if;

    -- The resource types of FHIR R4 are the numbers from 1 to 146.
    with given as materialized (
        select c.id, c.version, c.permits, c.types
        from region.consent c
        where c.patient = any (region.known_as(about)) and c.status = 'active'
          and c.starts <= clock_timestamp() and c.ends > clock_timestamp()
          and region.concerns(c, acting, asker)
          and (c.types is null or in_type is null or in_type = any (c.types))
    )
    select (
            select array_agg(t.code::int2 order by t.code)
            from generate_series(1, 146) as t (code)
            where (in_type is null or t.code = in_type)
              and exists (select from given g where g.permits and (g.types is null or t.code = any (g.types)))
              and not exists (select from given g where not g.permits and (g.types is null or t.code = any (g.types)))
        ),
        (
            select array_agg(g.id::text || '/_history/' || g.version order by g.id)
            from given g
            where exists (select from given p where p.permits)
        )
    into allowed, grounds;
    sum_verdict := case when allowed is not null then 'consent' when grounds is not null then 'denied'
                   else 'no-consent' end;

    for link in
        select l.tenant, l.patient_id, f.database
        from region.patient_link l
        join region.feed f on f.tenant = l.tenant
        where l.patient = about
          and (in_alias is null or (l.tenant = own_tenant and l.patient_id = own_patient))
        order by l.tenant, l.patient_id
    loop
        any_record := true;
        verdict := case when link.tenant = acting and link.database = asker[6] then 'own-record' else sum_verdict end;
        insert into region.sharing_decision (at, request_id, client, institution, practitioner, purpose, patient, holder,
            type, permit, reason, consents)
        values (clock_timestamp(), asker[4], asker[1], acting, asker[2], asker[3], about, link.tenant, in_type,
            verdict in ('own-record', 'consent'), verdict, case when verdict <> 'own-record' then grounds end)
        returning seq into next_decision;
        if verdict in ('own-record', 'consent') then
            opened := opened || link.tenant;
        end if;
        return query select about, next_decision, verdict in ('own-record', 'consent'), verdict, link.tenant,
            link.patient_id,
            case when verdict in ('own-record', 'consent') then region.alias(link.tenant, link.patient_id) end,
            case when verdict = 'consent' and cardinality(allowed) < 146 then allowed end, link.database;
    end loop;
    if not any_record then
        insert into region.sharing_decision (at, request_id, client, institution, practitioner, purpose, patient, holder,
            type, permit, reason, consents)
        values (clock_timestamp(), asker[4], asker[1], acting, asker[2], asker[3], about, null, in_type,
            sum_verdict = 'consent', sum_verdict, grounds)
        returning seq into next_decision;
        return query select about, next_decision, sum_verdict = 'consent', sum_verdict, null::text, null::text,
            null::text, case when cardinality(allowed) < 146 then allowed end, null::text;
    end if;
    perform region.add_audit(acting, asker, in_action, in_interaction,
        case when sum_verdict = 'consent' or opened <> '{}' then 0 else 4 end::int2, in_type, in_resource, in_version,
        about, in_query,
        case when sum_verdict <> 'consent' and opened <> '{}' then 'own-record' else sum_verdict end,
        (select array_agg(distinct o.name order by o.name) from unnest(opened) as o (name)), grounds);
end
$$;

-- As in V0013; so is what is refused.
create or replace function region.record_request(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_patient uuid, in_alias text, in_consent uuid, in_system text, in_value text, in_query text, in_reason text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    about uuid;
begin
    -- Whose record, consent or identifier it is, is the region's.
    perform set_config('region.acting', 'region', true);
    if in_alias is not null then
        select l.patient into about
        from region.record_alias a
        join region.patient_link l on l.tenant = a.tenant and l.patient_id = a.patient_id
        where a.alias = in_alias;
    elsif in_consent is not null then
        select c.patient into about from region.consent c where c.id = in_consent;
    elsif in_system is not null then
        select f.patient into about from region.find_patient('region', in_system, in_value) f;
        perform set_config('region.acting', 'region', true);
    else
        about := region.lasting_patient(in_patient);
    end if;
    perform set_config('region.acting', acting, true);
    perform region.add_audit(acting, asker, in_action, in_interaction, in_outcome, in_type, in_resource, null, about,
        in_query, in_reason, null, null, null);
end
$$;
