-- The holder has begun what was asked for. What an operator has asked for meanwhile stays.
drop function outbox.grant_wish(text, text, bigint);
create function outbox.grant_wish(acting text, in_consumer text, in_token bigint, in_wish text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    update outbox.lease l set wish = null
    where l.tenant = acting and l.consumer = in_consumer and l.token = in_token and l.wish = in_wish;
end
$$;
grant execute on function outbox.grant_wish(text, text, bigint, text) to medcloud_gateway;
