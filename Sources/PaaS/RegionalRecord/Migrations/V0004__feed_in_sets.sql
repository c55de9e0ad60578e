-- Feeding by sets. Most sources of a batch are as they were, and most others are new and share nothing with anybody: the
-- first need one statement for all, the second no look at the neighbours.

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
            join region.patient_identifier i on i.system = n.system and i.value = n.value) then
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

-- A worker keeps its plans, and the first are made when the tables are empty: whole tables would be read for ever. Each of
-- these looks at a handful of rows by their keys.
do $$
declare
    v_function regprocedure;
    v_setting text;
begin
    foreach v_function in array array[
        'region.settle(text, text, text[], text[])', 'region.place(text, text, integer)', 'region.split(uuid)',
        'region.component(uuid, text, text)', 'region.retire(uuid, uuid)']::regprocedure[]
    loop
        foreach v_setting in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
            execute format('alter function %s set %I = off', v_function, v_setting);
        end loop;
    end loop;
    alter function region.apply_sources(text, text, bigint, text[], integer[], boolean[], integer[], text[], text[],
        text[], integer[], text[], bigint[], timestamptz[]) set enable_seqscan = off;
end
$$;
