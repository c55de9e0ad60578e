-- A write of the platform API that begins nothing is noted with its Idempotency-Key as one that does: in the transaction of its
-- effect. Rules as in V0003; the effect of V0009 is `action NAME` too.

create function control.note_action()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    request constant jsonb := current_setting('control.request')::jsonb;
begin
    -- What an operation has done with it, as an apply has, is that operation's.
    update control.idempotency i set effect = coalesce(i.effect, 'action ' || new.action)
    where i.realm = request ->> 0 and i.actor = request ->> 1 and i.operation = request ->> 2 and i.key = request ->> 3
      and (i.effect is null or starts_with(i.effect, 'operation ')) and i.status is null;
    -- As in V0009: a worker that comes late.
    if not found then
        raise exception using errcode = 'MC409', message = 'the request with this Idempotency-Key was carried out meanwhile';
    end if;
    return null;
end
$$;
create trigger note_action after insert on control.action
    for each row
    when (current_setting('control.request', true) <> ''
          and new.action in ('quota.set', 'client.disable', 'operation.cancel'))
    execute function control.note_action();
