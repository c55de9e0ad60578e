-- Records of a database, not of a name. A tenant's name may come again while the sources of its former database are still being
-- forgotten: their links must not lead into the new one, where the same id is somebody else. Rules as in V0002.

drop function region.decide(text, text[], uuid, text, "char", int2, int2, text, int4, text);
-- As in V0005, but a record is one of the database that its link came from, and of one's own are those of one's own database.
-- database: where the record may be read, and nowhere else.
create function region.decide(
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

grant execute on function region.decide(text, text[], uuid, text, "char", int2, int2, text, int4, text) to medcloud_gateway;
