-- The address range of a network that goes can be another network's in the same plan, also another tenant's. Rules as in V0006.

-- To whom the range of a network that is being deleted goes, once it is gone. It is wholly within that one's, so nobody else
-- gets a part of it meanwhile.
alter table control.network
    add column yields_to uuid references control.network (id) on delete set null deferrable initially deferred;
create index network_yields_to on control.network (yields_to) where yields_to is not null;
alter table control.network drop constraint network_cidr_is_free;
alter table control.network add constraint network_cidr_is_free
    exclude using gist (cidr inet_ops with &&) where (not is_replaced and yields_to is null);

create or replace function control.create_network(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    wanted_name text;
    wanted cidr;
    leaving control.network%rowtype;
    made control.network%rowtype;
    mine text;
    started uuid;
    made_id constant uuid := gen_random_uuid();
begin
    perform control.require_compute();
    perform control.require_tenant(in_tenant);
    perform control.check_members(spec, array['name', 'cidr']);
    wanted_name := control.checked_text(spec, 'name', '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$',
        'must be a lower-case letter, then up to 30 letters, digits or hyphens, not ending in a hyphen');
    begin
        wanted := (spec ->> 'cidr')::cidr;
    exception when invalid_text_representation then
        wanted := null;
    end;
    if wanted is null or spec ->> 'cidr' <> wanted::text or family(wanted) <> 4 or masklen(wanted) not between 16 and 29
       or not (wanted <<= '10.0.0.0/8' or wanted <<= '172.16.0.0/12' or wanted <<= '192.168.0.0/16') then
        perform control.refuse_value('cidr',
            'must be a private IPv4 range from /16 to /29 without host bits, such as 10.40.1.0/24');
    end if;
    select * into leaving from control.network n
    where n.tenant = in_tenant and n.name = wanted_name and not n.is_replaced for update;
    if found then
        if leaving.state <> 'deleting' or leaving.operation <> all (coalesce(in_after, '{}')) then
            raise exception using errcode = 'MC409', message = 'the network exists already';
        end if;
        update control.network n set is_replaced = true where n.id = leaving.id;
    end if;
    -- What goes before gives its range, and has it again when this network does not come into being.
    update control.network n set yields_to = made_id
    where n.state = 'deleting' and n.operation = any (coalesce(in_after, '{}')) and n.cidr <<= wanted
      and not n.is_replaced and n.yields_to is null;
    begin
        insert into control.network (id, tenant, name, resource, cidr, replaces, created_by)
        values (made_id, in_tenant, wanted_name, 'n-' || control.random_name(), wanted, leaving.id, actor)
        returning * into made;
    exception
        when exclusion_violation then
            -- Another tenant's networks are not this one's to know.
            select n.name into mine from control.network n
            where n.tenant = in_tenant and n.cidr && wanted and not n.is_replaced order by n.name limit 1;
            raise exception using errcode = 'MC409',
                message = case when mine is null then 'the address range is not free in this region; choose another'
                               else 'the address range overlaps with the network ' || mine end;
        when unique_violation then
            raise exception using errcode = 'MC409', message = 'the network exists already';
    end;
    perform control.reserve(in_tenant, made.id, control.network_amounts(made));
    started := control.begin_operation(actor, 'network.create', in_tenant, wanted_name,
        jsonb_build_object('network', made.id), in_parent, in_after, interval '10 minutes');
    update control.network n set operation = started where n.id = made.id;
    return started;
end
$$;
