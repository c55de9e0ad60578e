-- A network that goes keeps its addresses until it is gone, also when another of its name is to take its place; a deletion that
-- never began leaves what was to go as it was; and what is made for a tenant waits for the tenant. Rules as in V0006.

-- The addresses that nobody else gets, where they are more than its own: those of the network whose place it takes, until that
-- one is gone. So only what goes wholly to another network is out of the comparison.
alter table control.network add column held cidr check (held >> cidr);

-- Replaced networks were not compared. One whose addresses another has meanwhile stays out.
do $$
begin
    perform set_config('control.acting', 'region', true);
    update control.network n
    set yields_to = (
        select o.id from control.network o where o.id <> n.id and o.cidr && n.cidr
        order by o.replaces is distinct from n.id limit 1)
    where n.is_replaced and n.yields_to is null;
end
$$;
set constraints all immediate;
alter table control.network drop constraint network_cidr_is_free;
alter table control.network add constraint network_cidr_is_free
    exclude using gist (coalesce(held, cidr) inet_ops with &&) where (yields_to is null);

-- The tenant stays as it is until this commits. Gives the operation that makes it, as long as it is being made. What a tenant
-- has whose own making or removal failed can only be removed.
drop function control.require_tenant(text);
create function control.require_tenant(in_tenant text, may_have_failed boolean default false)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.tenant%rowtype;
begin
    perform control.lock_pool(in_tenant);
    select * into present from control.tenant t where t.id = in_tenant for share;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    if present.state = 'deleting' or (present.state = 'failed' and not may_have_failed) then
        raise exception using errcode = 'MC409', message = 'the tenant is ' || present.state;
    end if;
    return case when present.state = 'provisioning' then present.operation end;
end
$$;

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
    making uuid;
    after uuid[] := coalesce(in_after, '{}');
    started uuid;
    made_id constant uuid := gen_random_uuid();
begin
    perform control.require_compute();
    making := control.require_tenant(in_tenant);
    if making is not null and making <> all (after) then
        after := after || making;
    end if;
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
        if leaving.state <> 'deleting' or leaving.operation <> all (after) then
            raise exception using errcode = 'MC409', message = 'the network exists already';
        end if;
        update control.network n set is_replaced = true where n.id = leaving.id;
    end if;
    -- What goes before gives its range, and has it again when this network does not come into being.
    update control.network n set yields_to = made_id
    where n.state = 'deleting' and n.operation = any (after) and n.yields_to is null
      and (n.cidr <<= wanted or (n.id = leaving.id and n.cidr >> wanted));
    begin
        insert into control.network (id, tenant, name, resource, cidr, held, replaces, created_by)
        values (made_id, in_tenant, wanted_name, 'n-' || control.random_name(), wanted,
                case when leaving.cidr >> wanted then leaving.cidr end, leaving.id, actor)
        returning * into made;
    exception
        when exclusion_violation then
            -- Another tenant's networks are not this one's to know.
            select n.name into mine from control.network n
            where n.tenant = in_tenant and coalesce(n.held, n.cidr) && wanted and n.yields_to is null
            order by n.name limit 1;
            raise exception using errcode = 'MC409',
                message = case when mine is null then 'the address range is not free in this region; choose another'
                               else 'the address range overlaps with the network ' || mine end;
        when unique_violation then
            raise exception using errcode = 'MC409', message = 'the network exists already';
    end;
    perform control.reserve(in_tenant, made.id, control.network_amounts(made));
    started := control.begin_operation(actor, 'network.create', in_tenant, wanted_name,
        jsonb_build_object('network', made.id), in_parent, after, interval '10 minutes');
    update control.network n set operation = started where n.id = made.id;
    return started;
end
$$;

create or replace function control.delete_network(
    actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.network%rowtype;
    users text;
    started uuid;
begin
    perform control.require_tenant(in_tenant, true);
    select * into present from control.network n
    where n.tenant = in_tenant and n.name = in_name and not n.is_replaced for update;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such network';
    end if;
    if present.state not in ('ready', 'failed') then
        raise exception using errcode = 'MCSTA', message = 'the network is ' || present.state,
            detail = json_build_object('from', present.state, 'event', 'delete')::text;
    end if;
    select string_agg(i.name, ', ' order by i.name) into users from control.instance i
    where i.network = present.id
      and (i.state <> 'deleting' or i.operation <> all (coalesce(in_after, '{}')));
    if users is not null then
        raise exception using errcode = 'MC409', message = 'the network is in use by ' || users;
    end if;
    started := control.begin_operation(actor, 'network.delete', in_tenant, in_name,
        jsonb_build_object('network', present.id, 'was', present.state), in_parent, in_after, interval '10 minutes');
    update control.network n set state = 'deleting', operation = started, changed_at = clock_timestamp()
    where n.id = present.id;
    return started;
end
$$;

create or replace function control.create_instance(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    checked jsonb;
    place control.network%rowtype;
    leaving control.instance%rowtype;
    made control.instance%rowtype;
    free inet;
    making uuid;
    after uuid[] := coalesce(in_after, '{}');
    started uuid;
begin
    perform control.require_compute();
    making := control.require_tenant(in_tenant);
    if making is not null and making <> all (after) then
        after := after || making;
    end if;
    checked := control.checked_instance(spec);
    select * into place from control.network n
    where n.tenant = in_tenant and n.name = checked ->> 'network' and not n.is_replaced for update;
    if not found or place.state not in ('requested', 'ready') then
        perform control.refuse_value('network', 'names no network of this tenant');
    end if;
    if place.state = 'requested' and place.operation <> all (after) then
        after := after || place.operation;
    end if;
    select * into leaving from control.instance i
    where i.tenant = in_tenant and i.name = checked ->> 'name' and not i.is_replaced for update;
    if found then
        if leaving.state <> 'deleting' or leaving.operation <> all (after) then
            raise exception using errcode = 'MC409', message = 'the instance exists already';
        end if;
        update control.instance i set is_replaced = true where i.id = leaving.id;
    end if;
    free := control.free_address(place.id);
    if free is null then
        raise exception using errcode = 'MC409', message = 'the network has no free address left';
    end if;
    begin
        insert into control.instance (
            tenant, name, resource, network, address, mac, image, vcpus, memory, disk, ssh_keys, running, probe,
            probe_deadline, reason, replaces, created_by)
        values (
            in_tenant, checked ->> 'name', 'i-' || control.random_name(), place.id, free, control.random_mac(),
            checked ->> 'image', (checked ->> 'vcpus')::bigint, (checked ->> 'memory')::bigint,
            (checked ->> 'disk')::bigint, array(select jsonb_array_elements_text(checked -> 'sshKeys')),
            (checked ->> 'running')::boolean, checked -> 'probe', (checked ->> 'probeDeadline')::integer,
            'it is being made', leaving.id, actor)
        returning * into made;
    exception when unique_violation then
        raise exception using errcode = 'MC409', message = 'the instance exists already';
    end;
    perform control.reserve(in_tenant, made.id, control.amounts(made));
    started := control.begin_operation(actor, 'instance.create', in_tenant, made.name,
        jsonb_build_object('instance', made.id), in_parent, after,
        interval '10 minutes' + made.probe_deadline * interval '1 second');
    update control.instance i set operation = started where i.id = made.id;
    return started;
end
$$;

-- Finds the instance, holds its row, and checks that the event may happen now.
create or replace function control.take_instance(in_tenant text, in_name text, in_event text)
returns control.instance
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.instance%rowtype;
begin
    perform control.require_tenant(in_tenant, in_event = 'delete');
    select * into present from control.instance i
    where i.tenant = in_tenant and i.name = in_name and not i.is_replaced for update;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such instance';
    end if;
    if control.instance_transition(present.state, in_event) is null then
        raise exception using errcode = 'MCSTA', message = format('an instance that is %s cannot %s', present.state, in_event),
            detail = json_build_object('from', present.state, 'event', in_event)::text;
    end if;
    return present;
end
$$;

-- In the transaction that ends an operation, whoever ends it and why: what it was to change is so now, or is as before, and
-- the reservation follows. So nothing is held for an operation that is over. A deletion that was cut off half-way can only be
-- asked for again; one that never began changes nothing.
create or replace function control.settle_instance()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.instance%rowtype;
    succeeded constant boolean := new.phase = 'succeeded';
    -- It failed and was not taken back: its disk has grown. The machine is what was asked for, as far as it goes.
    is_kept constant boolean := new.kind = 'instance.update' and new.phase = 'failed' and old.phase = 'running';
begin
    perform control.lock_pool(new.tenant);
    select * into present from control.instance i
    where i.id = (new.input ->> 'instance')::uuid and i.operation = new.id for update;
    if not found then
        return null;
    end if;
    if (new.kind = 'instance.delete' and succeeded) or (new.kind = 'instance.create' and not succeeded) then
        perform control.remove_instance(present);
        return null;
    end if;
    if not succeeded and not is_kept and present.previous is not null then
        update control.instance i
        set vcpus = (present.previous ->> 'vcpus')::bigint, memory = (present.previous ->> 'memory')::bigint,
            disk = (present.previous ->> 'disk')::bigint, running = (present.previous ->> 'running')::boolean,
            probe = present.previous -> 'probe', probe_deadline = (present.previous ->> 'probeDeadline')::integer,
            ssh_keys = array(select jsonb_array_elements_text(present.previous -> 'sshKeys'))
        where i.id = present.id;
    end if;
    update control.instance i
    set previous = null, state_before = null, operation = null, changed_at = clock_timestamp(),
        state = case when new.kind = 'instance.delete' and new.irrevocable then 'failed'
                     when is_kept then case when i.is_running then 'running' else 'stopped' end
                     when not succeeded then i.state_before
                     when i.running then 'running' else 'stopped' end,
        ready = i.ready and i.running and not is_kept,
        reason = case when is_kept then new.error_message
                      when i.ready and i.running then null
                      when not i.running then 'it is stopped'
                      when i.reason = 'it is being made' then 'it was not looked at yet'
                      else i.reason end
    where i.id = present.id
    returning * into present;
    perform control.reserve(present.tenant, present.id, control.amounts(present));
    return null;
end
$$;

create or replace function control.settle_network()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.network%rowtype;
    successor control.network%rowtype;
    orphan control.instance%rowtype;
    succeeded constant boolean := new.phase = 'succeeded';
begin
    perform control.lock_pool(new.tenant);
    select * into present from control.network n
    where n.id = (new.input ->> 'network')::uuid and n.operation = new.id for update;
    if not found then
        return null;
    end if;
    if (new.kind = 'network.delete' and succeeded) or (new.kind = 'network.create' and not succeeded) then
        -- Instances that waited for a network which does not come: their own operations end because of it.
        for orphan in select * from control.instance i where i.network = present.id and i.state = 'requested' for update loop
            perform control.remove_instance(orphan);
        end loop;
        perform control.reserve(present.tenant, present.id, '{}');
        for successor in
            update control.network n set replaces = null where n.replaces = present.id returning n.*
        loop
            perform control.reserve(successor.tenant, successor.id, control.network_amounts(successor));
        end loop;
        delete from control.network n where n.id = present.id;
        if new.kind = 'network.create' then
            update control.network n set is_replaced = false where n.id = present.replaces;
        else
            -- It held this one's addresses together with its own.
            update control.network n set held = null where n.id = present.yields_to and n.held is not null;
        end if;
        return null;
    end if;
    -- A deletion that never began leaves what was.
    update control.network n
    set operation = null, changed_at = clock_timestamp(),
        state = case when new.kind = 'network.create' then 'ready'
                     when new.irrevocable then 'failed'
                     else coalesce(new.input ->> 'was', 'failed') end
    where n.id = present.id;
    return null;
end
$$;
