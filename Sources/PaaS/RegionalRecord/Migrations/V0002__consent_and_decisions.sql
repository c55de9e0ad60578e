-- Consents, the decisions that follow from them, and the region's audit log. Rules as in the control database: row security
-- binds the owner, functions name the acting institution ('region' is the region itself), the gateway may only call functions.

-- Consents and log entries name a person by the id of their day: what was merged into one is found by it.
create index patient_replaced_by on region.patient (replaced_by) where replaced_by is not null;

-- The names under which a holder's record of one patient is spoken of outside of it: one for each (holder, patient there), so
-- that an id says neither who the holder is nor that two patients have the same one.
create table region.record_alias (
    alias      text collate "C" primary key check (alias ~ '^[0-9a-f]{8}$'),
    tenant     text collate "C" not null,
    patient_id text collate "C" not null,
    unique (tenant, patient_id)
);
alter table region.record_alias enable row level security;
alter table region.record_alias force row level security;
create policy acting on region.record_alias
    using (current_setting('region.acting', true) = 'region')
    with check (current_setting('region.acting', true) = 'region');

-- The current version of each consent. The columns beside the content are what is evaluated.
create table region.consent (
    id          uuid primary key,
    version     int not null,
    patient     uuid not null,
    recorder    text collate "C" not null,
    status      text not null check (status in ('draft', 'active', 'inactive')),
    grantees    text[] collate "C" not null check (cardinality(grantees) between 1 and 64),
    purposes    text[] collate "C" not null check (cardinality(purposes) between 1 and 64),
    types       smallint[] check (cardinality(types) between 1 and 200),
    starts      timestamptz not null,
    ends        timestamptz not null,
    content     text compression lz4 collate "C" not null,
    recorded_at timestamptz not null,
    check (starts < ends),
    check (not recorder = any (grantees))
);
create index consent_patient on region.consent (patient, recorded_at);
comment on column region.consent.types is 'codes of the resource types that it is limited to; null = all';
alter table region.consent enable row level security;
alter table region.consent force row level security;
create policy acting on region.consent
    using (current_setting('region.acting', true) in (recorder, 'region'))
    with check (current_setting('region.acting', true) in (recorder, 'region'));

-- Every version, the current one too. Never changed: there is a policy for reading and one for adding, none for the rest.
create table region.consent_version (
    consent     uuid not null,
    version     int not null,
    recorder    text collate "C" not null,
    client      text collate "C" not null,
    method      "char" not null,
    content     text compression lz4 collate "C" not null,
    recorded_at timestamptz not null,
    primary key (consent, version)
);
alter table region.consent_version enable row level security;
alter table region.consent_version force row level security;
create policy reading on region.consent_version for select
    using (current_setting('region.acting', true) in (recorder, 'region'));
create policy adding on region.consent_version for insert
    with check (current_setting('region.acting', true) in (recorder, 'region'));

-- One row for each crossing that was asked for, committed before the holder's data are read. Append-only.
create table region.sharing_decision (
    seq             bigint generated always as identity primary key,
    at              timestamptz not null,
    request_id      text collate "C" not null,
    client          text collate "C" not null,
    institution     text collate "C" not null,
    practitioner    text collate "C" not null,
    purpose         text collate "C" not null,
    patient         uuid not null,
    holder          text collate "C",
    type            smallint,
    permit          boolean not null,
    reason          text not null check (reason in ('own-record', 'consent', 'no-consent')),
    consent         uuid,
    consent_version int,
    check ((reason = 'consent') = (consent is not null)),
    check (permit = (reason <> 'no-consent'))
);
create index sharing_decision_patient on region.sharing_decision (patient, seq);
comment on column region.sharing_decision.holder is 'null when the patient has no record anywhere';
alter table region.sharing_decision enable row level security;
alter table region.sharing_decision force row level security;
create policy reading on region.sharing_decision for select
    using (current_setting('region.acting', true) in (institution, 'region'));
create policy adding on region.sharing_decision for insert
    with check (current_setting('region.acting', true) in (institution, 'region'));

-- Compact audit rows as in a tenant's audit.event, and who asked for whom. Append-only.
create table region.audit_event (
    seq             bigint generated always as identity primary key,
    recorded        timestamptz not null,
    action          "char" not null,
    interaction     smallint not null,
    outcome         smallint not null,
    type            smallint,
    version         int,
    client          text collate "C" not null,
    institution     text collate "C" not null,
    practitioner    text collate "C",
    purpose         text collate "C",
    request_id      text collate "C",
    source          text collate "C",
    resource_id     text collate "C",
    patient         uuid,
    query           text collate "C",
    reason          text collate "C",
    holders         text[] collate "C",
    consent         uuid,
    consent_version int
);
create index audit_event_patient on region.audit_event (patient, seq) where patient is not null;
comment on column region.audit_event.reason is 'why it was permitted or refused: own-record, consent, no-consent, or a problem code';
comment on column region.audit_event.holders is 'whose records were opened';
alter table region.audit_event enable row level security;
alter table region.audit_event force row level security;
create policy reading on region.audit_event for select
    using (current_setting('region.acting', true) in (institution, 'region'));
create policy adding on region.audit_event for insert
    with check (current_setting('region.acting', true) in (institution, 'region'));

-- The alias of a record, made at first use.
create function region.alias(in_tenant text, in_patient_id text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    known text;
begin
    loop
        select a.alias into known from region.record_alias a
        where a.tenant = in_tenant and a.patient_id = in_patient_id;
        if found then
            return known;
        end if;
        -- Either another request was faster or the random name is taken; both end the next time round.
        insert into region.record_alias (alias, tenant, patient_id)
        values (substr(gen_random_uuid()::text, 1, 8), in_tenant, in_patient_id)
        on conflict do nothing;
    end loop;
end
$$;

-- The ids under which a person was known: its own and those that were merged into it.
create function region.known_as(in_patient uuid)
returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive known(id) as (
        select in_patient
        union
        select p.id from known k join region.patient p on p.replaced_by = k.id
    )
    select array_agg(k.id) from known k
$$;

-- Adds an audit row. asker: client, practitioner, purpose, request id, source.
create function region.add_audit(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_version int4, in_patient uuid, in_query text, in_reason text, in_holders text[], in_consent uuid,
    in_consent_version int4)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into region.audit_event (recorded, action, interaction, outcome, type, version, client, institution,
        practitioner, purpose, request_id, source, resource_id, patient, query, reason, holders, consent,
        consent_version)
    values (clock_timestamp(), in_action, in_interaction, in_outcome, in_type, in_version, asker[1], acting, asker[2],
        asker[3], asker[4], asker[5], in_resource, in_patient, in_query, in_reason, in_holders, in_consent,
        in_consent_version)
$$;

-- Records a request that was refused before any decision, or answered without one.
create function region.record_request(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_patient uuid, in_query text, in_reason text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform region.add_audit(acting, asker, in_action, in_interaction, in_outcome, in_type, in_resource, null,
        (select c.patient from region.current_patient('region', in_patient) c), in_query, in_reason, null, null, null);
end
$$;

-- Looks a patient up by an exact identifier and records that it was looked for.
create function region.look_up(acting text, asker text[], in_system text, in_value text, in_query text)
returns table (patient uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    found_patient uuid;
begin
    perform set_config('region.acting', 'region', true);
    select f.patient into found_patient from region.find_patient('region', in_system, in_value) f;
    perform set_config('region.acting', 'region', true);
    perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 103::int2, null, null, found_patient, in_query,
        null, null, null, null);
    if found_patient is not null then
        return query select found_patient;
    end if;
end
$$;

-- Decides, at the moment of use, whose records of a patient may be read, and records it: a decision for each crossing and
-- the audit row, in the transaction that this call is. The holders' data may be read once it is committed.
--
-- The patient is named by the region's id, or by the alias of one record, which then is the only one looked at.
-- Answers with no row when there is no such patient or alias. Otherwise there is one row a record, permitted or not; a
-- patient without any record has one row with holder null.
-- in_type: what is asked for; null = everything, types then says what a limited consent leaves of it (null = all).
create function region.decide(
    acting text, asker text[], in_patient uuid, in_alias text, in_action "char", in_interaction int2, in_type int2,
    in_resource text, in_version int4, in_query text)
returns table (patient uuid, decision bigint, permit boolean, reason text, holder text, patient_id text, alias text,
               types int2[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    about uuid;
    own_tenant text;
    own_patient text;
    given region.consent%rowtype;
    link record;
    verdict text;
    next_decision bigint;
    opened text[] := '{}';
    any_permit boolean := false;
    any_record boolean := false;
begin
    if asker[2] is null or asker[3] is null then
        raise exception using errcode = 'MC403', message = 'a crossing needs a practitioner and a purpose';
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
            null, in_query, 'not-found', null, null, null);
        return;
    end if;

    -- The consent that permits most.
    select c.* into given
    from region.consent c
    where c.patient = any (region.known_as(about)) and c.status = 'active'
      and c.starts <= clock_timestamp() and c.ends > clock_timestamp()
      and c.grantees @> array[acting] and c.purposes @> array[asker[3]]
      and (c.types is null or in_type is null or in_type = any (c.types))
    order by c.types is null desc, cardinality(c.types) desc, c.recorded_at desc
    limit 1;

    for link in
        select l.tenant, l.patient_id
        from region.patient_link l
        where l.patient = about
          and (in_alias is null or (l.tenant = own_tenant and l.patient_id = own_patient))
        order by l.tenant, l.patient_id
    loop
        any_record := true;
        verdict := case when link.tenant = acting then 'own-record' when given.id is not null then 'consent'
                   else 'no-consent' end;
        insert into region.sharing_decision (at, request_id, client, institution, practitioner, purpose, patient, holder,
            type, permit, reason, consent, consent_version)
        values (clock_timestamp(), asker[4], asker[1], acting, asker[2], asker[3], about, link.tenant, in_type,
            verdict <> 'no-consent', verdict, case when verdict = 'consent' then given.id end,
            case when verdict = 'consent' then given.version end)
        returning seq into next_decision;
        if verdict <> 'no-consent' then
            any_permit := true;
            opened := opened || link.tenant;
        end if;
        return query select about, next_decision, verdict <> 'no-consent', verdict, link.tenant, link.patient_id,
            case when verdict <> 'no-consent' then region.alias(link.tenant, link.patient_id) end,
            case when verdict = 'consent' then given.types end;
    end loop;
    if not any_record then
        verdict := case when given.id is null then 'no-consent' else 'consent' end;
        any_permit := given.id is not null;
        insert into region.sharing_decision (at, request_id, client, institution, practitioner, purpose, patient, holder,
            type, permit, reason, consent, consent_version)
        values (clock_timestamp(), asker[4], asker[1], acting, asker[2], asker[3], about, null, in_type, any_permit,
            verdict, given.id, given.version)
        returning seq into next_decision;
        return query select about, next_decision, any_permit, verdict, null::text, null::text, null::text, given.types;
    end if;
    perform region.add_audit(acting, asker, in_action, in_interaction,
        case when any_permit then 0 else 4 end::int2, in_type, in_resource, in_version, about, in_query,
        case when any_permit and given.id is null then 'own-record' when any_permit then 'consent' else 'no-consent' end,
        (select array_agg(distinct o.name order by o.name) from unnest(opened) as o (name)), given.id, given.version);
end
$$;

-- Records a consent or a new version of one. in_expected: the version of If-Match, 0 for none; in_creates: a new identity.
-- Errors: MC404 no such consent, MC412 (DETAIL current version), MC422 the patient (DETAIL patient), MC424 a transition that
-- there is not (DETAIL from,to).
create function region.write_consent(
    acting text, asker text[], in_id uuid, in_creates boolean, in_expected int4, in_patient uuid, in_status text,
    in_grantees text[], in_purposes text[], in_types int2[], in_starts timestamptz, in_ends timestamptz,
    in_content text)
returns table (version int4, recorded_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    current region.consent%rowtype;
    next_version int4 := 1;
    at timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
    perform set_config('region.acting', acting, true);
    if in_creates then
        perform from region.current_patient('region', in_patient) c where c.patient = in_patient;
        if not found then
            raise exception using errcode = 'MC422', message = 'no such patient', detail = 'patient';
        end if;
        if in_status not in ('draft', 'active') then
            raise exception using errcode = 'MC424', message = 'no such transition', detail = 'none,' || in_status;
        end if;
        insert into region.consent (id, version, patient, recorder, status, grantees, purposes, types, starts, ends,
            content, recorded_at)
        values (in_id, 1, in_patient, acting, in_status, in_grantees, in_purposes, in_types, in_starts, in_ends,
            in_content, at);
    else
        select c.* into current from region.consent c where c.id = in_id for update;
        if not found then
            raise exception using errcode = 'MC404', message = 'no such consent';
        elsif in_expected > 0 and in_expected <> current.version then
            raise exception using errcode = 'MC412', message = 'version conflict', detail = current.version::text;
        elsif current.patient <> in_patient then
            raise exception using errcode = 'MC422', message = 'the patient of a consent stays', detail = 'changed';
        elsif (current.status, in_status) not in (('draft', 'draft'), ('draft', 'active'), ('active', 'active'),
                                                  ('active', 'inactive')) then
            raise exception using errcode = 'MC424', message = 'no such transition',
                detail = current.status || ',' || in_status;
        end if;
        next_version := current.version + 1;
        at := greatest(at, current.recorded_at + interval '1 millisecond');
        update region.consent c
        set version = next_version, status = in_status, grantees = in_grantees, purposes = in_purposes, types = in_types,
            starts = in_starts, ends = in_ends, content = in_content, recorded_at = at
        where c.id = in_id;
    end if;
    insert into region.consent_version (consent, version, recorder, client, method, content, recorded_at)
    values (in_id, next_version, acting, asker[1], case when in_creates then 'C' else 'U' end, in_content, at);
    perform region.add_audit(acting, asker, case when in_creates then 'C' else 'U' end::"char",
        case when in_creates then 6 else 7 end::int2, 0::int2, 29::int2, in_id::text, next_version, in_patient, null, null,
        null, in_id, next_version);
    return query select next_version, at;
end
$$;

-- Consents that the acting institution recorded, newest first, and the record of the reading. By id, or of a patient;
-- in_before is the place of a page: (recorded_at, id) of the last row seen.
create function region.consents(
    acting text, asker text[], in_id uuid, in_patient uuid, in_status text, in_before timestamptz, in_before_id uuid,
    in_limit int4, in_query text)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform set_config('region.acting', acting, true);
    return query
        select c.id, c.version, c.recorded_at, c.content
        from region.consent c
        where (in_id is null or c.id = in_id) and (in_patient is null or c.patient = in_patient)
          and (in_status is null or c.status = in_status)
          and (in_before is null or (c.recorded_at, c.id) < (in_before, in_before_id))
        order by c.recorded_at desc, c.id desc
        limit in_limit;
    if in_id is null then
        perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 29::int2, null, null, in_patient, in_query, null,
            null, null, null);
    else
        perform region.add_audit(acting, asker, 'R', 1::int2, case when found then 0 else 4 end::int2, 29::int2,
            in_id::text, null, (select c.patient from region.consent c where c.id = in_id), null, null, null, null, null);
    end if;
end
$$;

-- The versions of a consent, newest first, or one of them; the reading is recorded.
create function region.consent_versions(acting text, asker text[], in_id uuid, in_version int4)
returns table (version int4, recorded_at timestamptz, method int2, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform set_config('region.acting', acting, true);
    return query
        select v.version, v.recorded_at, ascii(v.method::text)::int2, v.content
        from region.consent_version v
        where v.consent = in_id and (in_version is null or v.version = in_version)
        order by v.version desc;
    perform region.add_audit(acting, asker, 'R', case when in_version is null then 3 else 2 end::int2,
        case when found then 0 else 4 end::int2, 29::int2, in_id::text, in_version,
        (select c.patient from region.consent c where c.id = in_id), null, null, null, null, null);
end
$$;

-- A patient's access log, newest first, and the record of reading it. For an institution that keeps the log on behalf of
-- patients: the caller has checked that it is one. The reading is part of the next page that somebody reads.
create function region.access_log(acting text, asker text[], in_patient uuid, in_before bigint, in_limit int4,
                                  in_query text)
returns table (seq bigint, recorded timestamptz, action text, interaction int2, outcome int2, client text,
               practitioner text, purpose text, request_id text, source text, type int2, resource_id text, version int4,
               patient text, query text, institution text, reason text, holders text[], consent text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    about uuid;
begin
    perform set_config('region.acting', 'region', true);
    select c.patient into about from region.current_patient('region', in_patient) c;
    if about is null then
        perform region.add_audit(acting, asker, 'E', 10::int2, 4::int2, 7::int2, null, null, null, in_query, 'not-found',
            null, null, null);
        return;
    end if;
    return query
        select e.seq, e.recorded, e.action::text, e.interaction, e.outcome, e.client, e.practitioner, e.purpose,
            e.request_id, e.source, e.type, e.resource_id, e.version, e.patient::text, e.query, e.institution, e.reason,
            coalesce(e.holders, '{}'), e.consent::text || '/_history/' || e.consent_version
        from region.audit_event e
        where e.patient = any (region.known_as(about)) and (in_before is null or e.seq < in_before)
        order by e.seq desc
        limit in_limit;
    perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 7::int2, null, null, about, in_query, null, null,
        null, null);
end
$$;

grant execute on function
    region.record_request(text, text[], "char", int2, int2, int2, text, uuid, text, text),
    region.look_up(text, text[], text, text, text),
    region.decide(text, text[], uuid, text, "char", int2, int2, text, int4, text),
    region.write_consent(text, text[], uuid, boolean, int4, uuid, text, text[], text[], int2[], timestamptz, timestamptz,
        text),
    region.consents(text, text[], uuid, uuid, text, timestamptz, uuid, int4, text),
    region.consent_versions(text, text[], uuid, int4),
    region.access_log(text, text[], uuid, bigint, int4, text)
to medcloud_gateway;
