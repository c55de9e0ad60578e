-- Persons that part again. When the sources that state a merged person's identifiers leave the person that it was merged into,
-- it goes with them, and with it the consents, denials and accesses that name it: otherwise a mistake that was corrected
-- would leave them with somebody else for ever. Rules as in V0001.

-- The identifiers that a merged person brought along, as long as anybody states them.
create table region.merged_identifier (
    patient uuid not null references region.patient,
    system text collate "C" not null,
    value text collate "C" not null,
    primary key (system, value, patient),
    foreign key (system, value) references region.patient_identifier on delete cascade
);
create index merged_identifier_patient on region.merged_identifier (patient);
alter table region.merged_identifier enable row level security;
alter table region.merged_identifier force row level security;
create policy acting on region.merged_identifier
    using (current_setting('region.acting', true) = 'region')
    with check (current_setting('region.acting', true) = 'region');

-- The persons merged into in_patient, themselves or on the way, of whom these of its sources state something and no other of
-- them does. Nearest first.
create function region.merged_with(in_patient uuid, in_tenants text[], in_ids text[]) returns uuid[]
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
        join region.merged_identifier i on i.patient = m.id
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

-- Whether a source states an identifier that is a person's own, and not one of somebody who was merged into it.
create function region.states_own(in_patient uuid, in_tenant text, in_id text) returns boolean
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
              select from region.merged_identifier m
              where m.system = i.system and m.value = i.value and m.patient = any (region.known_as(in_patient))))
$$;

-- The person for sources that leave another one: the first of those that they take along, or a new one.
create function region.return_or_make(in_taken uuid[]) returns uuid
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
        delete from region.merged_identifier m where m.patient = v_patient;
    end if;
    return v_patient;
end
$$;

-- Makes in_to the survivor of those that were taken along, but for those that one of them survives.
create function region.take_along(in_taken uuid[], in_to uuid) returns void
language sql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
    update region.patient p set replaced_by = in_to, changed_at = clock_timestamp()
    where p.id = any (in_taken) and p.id <> in_to and p.replaced_by <> all (in_taken)
$$;

-- As in V0001, but who leaves a person takes along those that came with it.
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

    if not exists (select from region.patient_claim c where c.tenant = in_tenant and c.patient_id = in_id) then
        v_to := null;
    elsif cardinality(v_shared) = 1 then
        v_to := v_shared[1];
    elsif v_from = any (v_shared)
        -- The last source of those that were merged, when it states nothing more of the survivor, is theirs again.
        or v_alone and (v_taken = '{}' or region.states_own(v_from, in_tenant, in_id)) then
        v_to := v_from;
    else
        v_to := region.return_or_make(v_taken);
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
                v_systems := v_systems || v_carried.system;
                v_values := v_values || v_carried.value;
            else
                v_has_lost := true;
                delete from region.patient_identifier i
                where i.system = v_carried.system and i.value = v_carried.value;
            end if;
        end loop;
        -- A person whose every identifier went along is the same one; otherwise it was somebody's mistake.
        perform region.retire(v_from, case when not v_has_lost and cardinality(v_shared) = 1 then v_to end);
        if exists (select from region.patient p where p.id = v_from and p.replaced_by = v_to) then
            insert into region.merged_identifier (patient, system, value)
            select v_from, n.system, n.value
            from unnest(v_systems, v_values) as n(system, value)
            where not exists (
                select from region.merged_identifier m
                where m.system = n.system and m.value = n.value and m.patient = any (region.known_as(v_from)));
        elsif v_to is not null then
            perform region.take_along(v_taken, v_to);
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

-- As in V0001, but those that part take along whom they brought, and who keeps the person states something of its own.
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
        v_taken := region.merged_with(in_patient, v_tenants, v_ids);
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
