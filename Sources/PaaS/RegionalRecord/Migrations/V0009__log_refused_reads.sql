-- A refused request for one record is in the log of the patient whose record it is, as one for the patient is. Rules as in V0002.

drop function region.record_request(text, text[], "char", int2, int2, int2, text, uuid, text, text);
-- Records a request that was refused before any decision, or answered without one. The patient is named as in region.decide.
create function region.record_request(
    acting text, asker text[], in_action "char", in_interaction int2, in_outcome int2, in_type int2, in_resource text,
    in_patient uuid, in_alias text, in_query text, in_reason text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    about uuid;
begin
    -- Whose record an alias names is the region's.
    perform set_config('region.acting', 'region', true);
    if in_alias is null then
        select c.patient into about from region.current_patient('region', in_patient) c;
    else
        select l.patient into about
        from region.record_alias a
        join region.patient_link l on l.tenant = a.tenant and l.patient_id = a.patient_id
        where a.alias = in_alias;
    end if;
    perform set_config('region.acting', acting, true);
    perform region.add_audit(acting, asker, in_action, in_interaction, in_outcome, in_type, in_resource, null, about,
        in_query, in_reason, null, null, null);
end
$$;

grant execute on function
    region.record_request(text, text[], "char", int2, int2, int2, text, uuid, text, text, text)
to medcloud_gateway;
