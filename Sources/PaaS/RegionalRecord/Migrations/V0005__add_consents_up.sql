-- Several consents of one patient are added up, and denials are taken away from the sum; a consent is for an institution as it
-- was when the consent was recorded; a repeated request finds the consent that its first one made. Rules as in V0002.

-- A tenant's name may come again, the name of its database never does: a consent is for the holder of that database.
alter table region.consent
    add column permits boolean not null default true,
    add column grantee_databases text[] collate "C",
    drop constraint consent_grantees_check,
    drop constraint consent_purposes_check,
    add constraint consent_grantees_check
        check (cardinality(grantees) between case when permits then 1 else 0 end and 64),
    add constraint consent_purposes_check
        check (cardinality(purposes) between case when permits then 1 else 0 end and 64);
comment on column region.consent.permits is 'false: it denies, and no grantee means every institution, no purpose every purpose';
comment on column region.consent.grantee_databases is
    'databases of the grantees; null in consents of before, which are for tenants that were there already';

-- Requests to write a consent that had an Idempotency-Key, each in the transaction that wrote it, for 24 hours.
create table region.consent_request (
    institution text collate "C" not null,
    client      text collate "C" not null,
    operation   text collate "C" not null check (length(operation) <= 60),
    key         text collate "C" not null check (length(key) between 1 and 255),
    digest      bytea not null,
    consent     uuid not null,
    version     int not null,
    at          timestamptz not null default clock_timestamp(),
    primary key (institution, client, operation, key)
);
create index consent_request_at on region.consent_request (at);
alter table region.consent_request enable row level security;
alter table region.consent_request force row level security;
create policy acting on region.consent_request
    using (current_setting('region.acting', true) in (institution, 'region'))
    with check (current_setting('region.acting', true) in (institution, 'region'));

-- A decision may rest on several consents: 'ID/_history/VERSION' of each.
alter table region.sharing_decision
    drop constraint sharing_decision_check,
    drop constraint sharing_decision_check1,
    drop constraint sharing_decision_reason_check;
alter table region.sharing_decision
    alter column consent type text[] collate "C"
        using case when consent is not null then array[consent::text || '/_history/' || consent_version] end;
alter table region.sharing_decision rename column consent to consents;
alter table region.sharing_decision
    drop column consent_version,
    add constraint sharing_decision_reason_check check (reason in ('own-record', 'consent', 'no-consent', 'denied')),
    add constraint sharing_decision_consents_check check ((reason in ('consent', 'denied')) = (consents is not null)),
    add constraint sharing_decision_permit_check check (permit = (reason in ('own-record', 'consent')));
alter table region.audit_event
    alter column consent type text[] collate "C"
        using case when consent is not null then array[consent::text || '/_history/' || consent_version] end;
alter table region.audit_event rename column consent to consents;
alter table region.audit_event drop column consent_version;
comment on column region.audit_event.reason is
    'why it was permitted or refused: own-record, consent, no-consent, denied, or a problem code';

-- As before; `in_consents` are those that it rests on.
create function region.add_audit(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_version int4, in_patient uuid, in_query text, in_reason text, in_holders text[], in_consents text[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into region.audit_event (recorded, action, interaction, outcome, type, version, client, institution,
        practitioner, purpose, request_id, source, resource_id, patient, query, reason, holders, consents)
    values (clock_timestamp(), in_action, in_interaction, in_outcome, in_type, in_version, asker[1], acting, asker[2],
        asker[3], asker[4], asker[5], in_resource, in_patient, in_query, in_reason, in_holders, in_consents)
$$;

-- For one consent or none.
create or replace function region.add_audit(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_version int4, in_patient uuid, in_query text, in_reason text, in_holders text[], in_consent uuid,
    in_consent_version int4)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select region.add_audit(acting, asker, in_action, in_interaction, in_outcome, in_type, in_resource, in_version,
        in_patient, in_query, in_reason, in_holders,
        case when in_consent is not null then array[in_consent::text || '/_history/' || in_consent_version] end)
$$;

-- Whether a consent is about the institution that asks, for its purpose. asker, further: database and time of creation of
-- the institution.
create function region.concerns(given region.consent, acting text, asker text[])
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case
            when cardinality(given.grantees) = 0 then true
            when given.grantee_databases is null
                then given.grantees @> array[acting] and given.recorded_at >= asker[7]::timestamptz
            else given.grantee_databases @> array[asker[6]]
        end
        and (cardinality(given.purposes) = 0 or given.purposes @> array[asker[3]])
$$;

-- As in V0002, but the patient's consents are added up: permitted is what any of them permits and none denies.
-- types: what may be read of a permitted record; null = all.
create or replace function region.decide(
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
            null, in_query, 'not-found', null, null);
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
        select l.tenant, l.patient_id
        from region.patient_link l
        where l.patient = about
          and (in_alias is null or (l.tenant = own_tenant and l.patient_id = own_patient))
        order by l.tenant, l.patient_id
    loop
        any_record := true;
        verdict := case when link.tenant = acting then 'own-record' else sum_verdict end;
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
            case when verdict = 'consent' and cardinality(allowed) < 146 then allowed end;
    end loop;
    if not any_record then
        insert into region.sharing_decision (at, request_id, client, institution, practitioner, purpose, patient, holder,
            type, permit, reason, consents)
        values (clock_timestamp(), asker[4], asker[1], acting, asker[2], asker[3], about, null, in_type,
            sum_verdict = 'consent', sum_verdict, grounds)
        returning seq into next_decision;
        return query select about, next_decision, sum_verdict = 'consent', sum_verdict, null::text, null::text,
            null::text, case when cardinality(allowed) < 146 then allowed end;
    end if;
    perform region.add_audit(acting, asker, in_action, in_interaction,
        case when sum_verdict = 'consent' or opened <> '{}' then 0 else 4 end::int2, in_type, in_resource, in_version,
        about, in_query,
        case when sum_verdict <> 'consent' and opened <> '{}' then 'own-record' else sum_verdict end,
        (select array_agg(distinct o.name order by o.name) from unnest(opened) as o (name)), grounds);
end
$$;

-- What an earlier request with this key wrote; no row when there was none. MC409: the key came with another body.
create function region.written_consent(
    acting text, asker text[], in_operation text, in_key text, in_digest bytea)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    earlier region.consent_request%rowtype;
begin
    perform set_config('region.acting', acting, true);
    select r.* into earlier from region.consent_request r
    where r.institution = acting and r.client = asker[1] and r.operation = in_operation and r.key = in_key
      and r.at > clock_timestamp() - interval '24 hours';
    if not found then
        return;
    elsif earlier.digest <> in_digest then
        raise exception using errcode = 'MC409', message = 'the key was used with another request';
    end if;
    return query
        select v.consent, v.version, v.recorded_at, v.content
        from region.consent_version v
        where v.consent = earlier.consent and v.version = earlier.version;
end
$$;

drop function region.write_consent(
    text, text[], uuid, boolean, int4, uuid, text, text[], text[], int2[], timestamptz, timestamptz, text);
-- As in V0002; a request with a key is carried out once, and its repetition gets what it wrote. MC409 as above.
create function region.write_consent(
    acting text, asker text[], in_id uuid, in_creates boolean, in_expected int4, in_patient uuid, in_status text,
    in_permits boolean, in_grantees text[], in_databases text[], in_purposes text[], in_types int2[],
    in_starts timestamptz, in_ends timestamptz, in_content text, in_operation text, in_key text, in_digest bytea)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
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
    if in_key is not null then
        delete from region.consent_request r where r.at <= clock_timestamp() - interval '24 hours';
        -- Waits for a request with the same key that is under way.
        insert into region.consent_request (institution, client, operation, key, digest, consent, version)
        values (acting, asker[1], in_operation, in_key, in_digest, in_id, 1)
        on conflict do nothing;
        if not found then
            return query select w.* from region.written_consent(acting, asker, in_operation, in_key, in_digest) w;
            return;
        end if;
    end if;
    if in_creates then
        perform from region.current_patient('region', in_patient) c where c.patient = in_patient;
        if not found then
            raise exception using errcode = 'MC422', message = 'no such patient', detail = 'patient';
        end if;
        if in_status not in ('draft', 'active') then
            raise exception using errcode = 'MC424', message = 'no such transition', detail = 'none,' || in_status;
        end if;
        insert into region.consent (id, version, patient, recorder, status, permits, grantees, grantee_databases,
            purposes, types, starts, ends, content, recorded_at)
        values (in_id, 1, in_patient, acting, in_status, in_permits, in_grantees, in_databases, in_purposes, in_types,
            in_starts, in_ends, in_content, at);
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
        set version = next_version, status = in_status, permits = in_permits, grantees = in_grantees,
            grantee_databases = in_databases, purposes = in_purposes, types = in_types, starts = in_starts,
            ends = in_ends, content = in_content, recorded_at = at
        where c.id = in_id;
        update region.consent_request r set version = next_version
        where r.institution = acting and r.client = asker[1] and r.operation = in_operation and r.key = in_key;
    end if;
    insert into region.consent_version (consent, version, recorder, client, method, content, recorded_at)
    values (in_id, next_version, acting, asker[1], case when in_creates then 'C' else 'U' end, in_content, at);
    perform region.add_audit(acting, asker, case when in_creates then 'C' else 'U' end::"char",
        case when in_creates then 6 else 7 end::int2, 0::int2, 29::int2, in_id::text, next_version, in_patient, null, null,
        null, in_id, next_version);
    return query select in_id, next_version, at, in_content;
end
$$;

-- As in V0002, but a patient's consents are also those that were recorded under an id that was merged into it.
create or replace function region.consents(
    acting text, asker text[], in_id uuid, in_patient uuid, in_status text, in_before timestamptz, in_before_id uuid,
    in_limit int4, in_query text)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    known uuid[];
begin
    -- The index of patients is the region's.
    perform set_config('region.acting', 'region', true);
    known := region.known_as(coalesce(
        (select c.patient from region.current_patient('region', in_patient) c), in_patient));
    perform set_config('region.acting', acting, true);
    return query
        select c.id, c.version, c.recorded_at, c.content
        from region.consent c
        where (in_id is null or c.id = in_id) and (in_patient is null or c.patient = any (known))
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

-- As in V0002, with every consent that an access rests on.
drop function region.access_log(text, text[], uuid, bigint, int4, text);
create function region.access_log(acting text, asker text[], in_patient uuid, in_before bigint, in_limit int4,
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
    select c.patient into about from region.current_patient('region', in_patient) c;
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

grant execute on function
    region.written_consent(text, text[], text, text, bytea),
    region.write_consent(text, text[], uuid, boolean, int4, uuid, text, boolean, text[], text[], text[], int2[],
        timestamptz, timestamptz, text, text, text, bytea),
    region.access_log(text, text[], uuid, bigint, int4, text)
to medcloud_gateway;
