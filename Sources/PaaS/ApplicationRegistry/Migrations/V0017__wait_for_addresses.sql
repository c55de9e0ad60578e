-- A step that makes a network waits for the end of those that have its addresses, whoever's they are; a lower quota waits for the
-- end of what it covers. Rules as in V0008.

create or replace function control.apply_step(actor text, step jsonb, in_parent uuid, begun jsonb)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    place constant text := step ->> 'tenant';
    thing constant text := step ->> 'name';
    wanted constant jsonb := step -> 'value';
    made uuid;
    after uuid[];
begin
    -- What it waits for: its tenant, what had its name or its addresses before, and for an end the ends of what is inside.
    select array_agg(b.value::uuid) into after
    from jsonb_each_text(begun) as b
    where b.key = 'create-tenant ' || place
       or b.key = case step ->> 'do'
                  when 'create-network' then 'delete-network ' || place || ' ' || thing
                  when 'create-instance' then 'delete-instance ' || place || ' ' || thing
                  end
       or (step ->> 'do' = 'create-instance' and b.key = 'create-network ' || place || ' ' || (wanted ->> 'network'))
       or (step ->> 'do' = 'create-network' and starts_with(b.key, 'delete-network ') and exists (
               select from control.network n
               where n.operation = b.value::uuid and n.cidr && (wanted ->> 'cidr')::cidr))
       or (step ->> 'do' = 'delete-network' and starts_with(b.key, 'delete-instance ' || place || ' '))
       or (step ->> 'do' = 'delete-tenant' and (starts_with(b.key, 'delete-instance ' || place || ' ')
                                                or starts_with(b.key, 'delete-network ' || place || ' ')));
    case step ->> 'do'
        when 'create-tenant' then
            made := control.create_tenant(
                actor, place, wanted ->> 'name', wanted ->> 'timeZone', wanted ->> 'language', step ->> 'database',
                step ->> 'cell', wanted ->> 'kind', wanted -> 'labels', in_parent, null);
            if wanted ->> 'driftPolicy' <> 'report' then
                perform control.set_drift_policy(actor, place, wanted ->> 'driftPolicy');
            end if;
            return made;
        when 'update-tenant' then
            perform control.update_tenant(actor, place, wanted);
        when 'set-quota' then
            perform control.set_quota(actor, place, wanted, true);
        when 'put-client' then
            perform control.put_client(actor, place, wanted);
        when 'disable-client' then
            perform control.disable_client(
                'region', actor, case wanted ->> 'realm' when 'region' then 'region' else place end, thing);
        when 'create-network' then
            return control.create_network(actor, place, wanted, in_parent, after);
        when 'delete-network' then
            return control.delete_network(actor, place, thing, in_parent, after);
        when 'create-instance' then
            return control.create_instance(actor, place, wanted, in_parent, after);
        when 'update-instance' then
            return control.update_instance(actor, place, wanted, in_parent, after);
        when 'delete-instance' then
            return control.delete_instance(actor, place, thing, in_parent, after);
        when 'delete-tenant' then
            return control.delete_tenant(actor, place, in_parent, after);
        else
            raise exception using errcode = 'MC422', message = 'a step that is not known here';
    end case;
    return null;
end
$$;
