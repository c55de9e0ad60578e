-- Goes back to where the database that a consumer writes to has heard of everything but p_waiting. Those and what came later are
-- handed out again.
create function outbox.go_back(p_consumer text, p_token bigint, p_position bigint, p_waiting bigint[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(p_consumer, p_token);
    delete from outbox.deferred d where d.consumer = p_consumer and d.seq > p_position;
    insert into outbox.deferred (consumer, seq, rid, attempts, due_at, is_parked, reason)
    select p_consumer, k.seq, k.rid, 0, clock_timestamp(), false, 'told again'
    from fhir.change k
    where k.seq = any (p_waiting) and k.seq <= p_position
    on conflict (consumer, seq) do nothing;
    update outbox.consumer c set position = p_position where c.name = p_consumer and c.position > p_position;
end
$$;

revoke all on function outbox.go_back(text, bigint, bigint, bigint[]) from public;

do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'medcloud_tenant') then
        grant execute on function outbox.go_back(text, bigint, bigint, bigint[]) to medcloud_tenant;
    end if;
end
$$;
