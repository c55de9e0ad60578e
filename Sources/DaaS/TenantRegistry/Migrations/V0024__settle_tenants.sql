-- What waits for a tenant that is not made ends with it; a removal waits for what is being removed already. Rules as in V0007.

-- What keeps a tenant from being removed, in words: 'instance web', 'network inside'; and whether that is about to go.
drop function control.tenant_dependents(text);
create function control.tenant_dependents(in_id text)
returns table (name text, is_leaving boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'instance ' || i.name, i.state = 'deleting' from control.instance i where i.tenant = in_id
    union all
    select 'network ' || n.name, n.state = 'deleting' from control.network n where n.tenant = in_id
    order by 1
$$;

-- What becomes of the tenant when its operation ends, in the same transaction.
create or replace function control.settle_tenant()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    waiting record;
begin
    perform set_config('control.acting', 'region', true);
    if new.kind = 'tenant.create' and new.phase = 'succeeded' then
        update control.tenant t set state = 'ready', error = null, changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
    elsif new.kind = 'tenant.create' and new.phase = 'failed' then
        update control.tenant t set state = 'failed', error = new.error_message, changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
    elsif new.kind = 'tenant.create' then
        -- Cancelled: nothing is left of it, and nobody wants it. What waits for it to be made goes first, the last first.
        perform from control.operation o
        where o.tenant = new.tenant and o.phase = 'queued' and new.id = any (o.after) order by o.seq for update;
        for waiting in
            select o.id from control.operation o
            where o.tenant = new.tenant and o.phase = 'queued' and new.id = any (o.after) order by o.seq desc
        loop
            perform control.finish_operation(
                waiting.id, 'failed', 'dependency-failed',
                'what it waits for did not succeed: ' || new.kind || ' ' || new.subject);
        end loop;
        perform control.lock_pool(new.tenant);
        if exists (select from control.tenant_dependents(new.tenant)) then
            update control.tenant t set state = 'failed', error = 'its making was cancelled', changed_at = clock_timestamp()
            where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
        else
            delete from control.tenant t
            where t.id = new.tenant and t.operation = new.id and t.state = 'provisioning';
        end if;
    elsif new.phase <> 'succeeded' then
        -- A removal that never began, unless it was cut off half-way.
        update control.tenant t
        set state = case when new.input ->> 'was' = 'ready' and not new.irrevocable then 'ready' else 'failed' end,
            error = new.error_message, changed_at = clock_timestamp()
        where t.id = new.tenant and t.operation = new.id and t.state = 'deleting';
    end if;
    insert into control.action (actor, action, realm, outcome)
    values ('controller', new.kind, new.tenant, case when new.phase = 'succeeded' then 'done' else new.phase end);
    return null;
end
$$;
