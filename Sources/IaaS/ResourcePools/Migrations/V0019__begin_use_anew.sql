-- What a tenant of that name used before this one was made is the region's to know, not the tenant's. Rules as in V0006.
create or replace function control.usage_of(
    acting text, in_tenant text, in_from bigint, in_until bigint, in_after text[], in_limit integer)
returns table (instance uuid, name text, begins bigint, ends bigint, reason text, is_running boolean, vcpus bigint,
               memory bigint, storage bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    v_from timestamptz := to_timestamp(in_from / 1000000.0);
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    if acting <> 'region' then
        select greatest(v_from, t.created_at) into v_from from control.tenant t where t.id = in_tenant;
    end if;
    return query
        with used as materialized (
            select u.*, u.name collate "C" as one, u.instance::text collate "C" as two
            from control.usage_intervals(in_tenant, v_from, to_timestamp(in_until / 1000000.0)) u
        ), page as (
            select distinct u.one, u.two from used u
            where in_after is null or (u.one, u.two) > (in_after[1], in_after[2])
            order by u.one, u.two
            limit in_limit
        )
        select u.instance, u.name, (extract(epoch from u.begins) * 1000000)::bigint,
               (extract(epoch from u.ends) * 1000000)::bigint, u.reason, u.is_running, u.vcpus, u.memory, u.storage
        from page p
        join used u on u.one = p.one and u.two = p.two
        order by u.one, u.two, u.begins, u.ends
        limit 10001;
end
$$;
