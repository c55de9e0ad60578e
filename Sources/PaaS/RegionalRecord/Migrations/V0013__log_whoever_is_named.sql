-- Whoever a request names or is shown learns of it: a refused search by identifier, a refused request for a consent, and a list of
-- consents that names no patient are in the logs of the patients. Rules as in V0002.

drop function region.record_request(text, text[], "char", int2, int2, int2, text, uuid, text, text, text);
-- As in V0009; the patient may also be named by a consent or by an exact identifier.
create function region.record_request(
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
        select c.patient into about from region.current_patient('region', in_patient) c;
    end if;
    perform set_config('region.acting', acting, true);
    perform region.add_audit(acting, asker, in_action, in_interaction, in_outcome, in_type, in_resource, null, about,
        in_query, in_reason, null, null, null);
end
$$;

-- As in V0005, but a list for no patient in particular is in the log of each patient whose consent it shows.
-- in_limit: one more than is shown; null = all, for those who only count.
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
    shown uuid[] := '{}';
    given record;
begin
    -- The index of patients is the region's.
    perform set_config('region.acting', 'region', true);
    known := region.known_as(coalesce(
        (select c.patient from region.current_patient('region', in_patient) c), in_patient));
    perform set_config('region.acting', acting, true);
    for given in
        select c.id, c.version, c.recorded_at, c.content, c.patient
        from region.consent c
        where (in_id is null or c.id = in_id) and (in_patient is null or c.patient = any (known))
          and (in_status is null or c.status = in_status)
          and (in_before is null or (c.recorded_at, c.id) < (in_before, in_before_id))
        order by c.recorded_at desc, c.id desc
        limit in_limit
    loop
        id := given.id;
        version := given.version;
        recorded_at := given.recorded_at;
        content := given.content;
        return next;
        if in_id is not null or cardinality(shown) < in_limit - 1 then
            shown := shown || given.patient;
        end if;
    end loop;
    if in_id is not null then
        perform region.add_audit(acting, asker, 'R', 1::int2, case when shown <> '{}' then 0 else 4 end::int2, 29::int2,
            in_id::text, null, shown[1], null, null, null, null, null);
    elsif in_patient is null and shown <> '{}' then
        perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 29::int2, null, null, s.patient, in_query, null,
            null, null, null)
        from (select distinct p from unnest(shown) as t (p)) as s (patient);
    else
        perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 29::int2, null, null, in_patient, in_query, null,
            null, null, null);
    end if;
end
$$;

grant execute on function
    region.record_request(text, text[], "char", int2, int2, int2, text, uuid, text, uuid, text, text, text, text)
to medcloud_gateway;
