-- Instances: locks in one order, when a guest was asked to power off, and changes that have gone too far to be taken back. Rules
-- as in V0006.

-- When an operation has last asked the guest to power off, and which one: the grace runs from there, and who takes the operation
-- back knows that the guest may still go off.
alter table control.instance
    add column shutdown_asked_at timestamptz,
    add column shutdown_operation uuid;

-- Makes an instance as the specification says, where that needs no new one. Null when it is so already. The pool is locked
-- before the row, as everywhere.
create or replace function control.update_instance(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    checked jsonb;
    before jsonb;
    present control.instance%rowtype;
    fixed text;
begin
    perform control.require_compute();
    perform control.require_tenant(in_tenant);
    checked := control.checked_instance(spec);
    select * into present from control.instance i
    where i.tenant = in_tenant and i.name = checked ->> 'name' and not i.is_replaced for update;
    if found and present.operation is null then
        before := control.instance_spec(present);
        if before = checked then
            return null;
        end if;
        foreach fixed in array array['image', 'network'] loop
            if before -> fixed <> checked -> fixed then
                perform control.refuse_value(fixed, 'cannot change in place: delete the instance and create it anew');
            end if;
        end loop;
        if (checked ->> 'disk')::bigint < present.disk then
            perform control.refuse_value('disk', 'cannot shrink in place: delete the instance and create it anew');
        end if;
    end if;
    return control.change_instance(actor, control.take_instance(in_tenant, checked ->> 'name', 'update'), 'update',
        checked, in_parent, in_after);
end
$$;

-- In the transaction that ends an operation, whoever ends it and why: what it was to change is so now, or is as before, and
-- the reservation follows. So nothing is held for an operation that is over.
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
        state = case when new.kind = 'instance.delete' then 'failed'
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
