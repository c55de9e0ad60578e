-- The answers to a tenant's requests go with the tenant: another one of its name gets its own. Rules as in V0003.
create function control.forget_requests()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = 'region'
as $$
begin
    delete from control.idempotency i where i.realm = old.id;
    return null;
end
$$;
create trigger forget_requests after delete on control.tenant
    for each row execute function control.forget_requests();
