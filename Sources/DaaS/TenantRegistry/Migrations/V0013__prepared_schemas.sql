-- A gateway serves when every database is of its own schemas: the leader says which ones it has brought them to. That it lives
-- says nothing about that, nor does what its predecessor of another version left here.

alter table control.leadership add column prepared_schemas text collate "C";

-- Seconds since the leader last said that it lives; null while the databases are of other schemas. It has another name than
-- its predecessor, so that gateways of an earlier version do not take the databases for theirs.
drop function control.leader_seen(text);
create function control.leader_prepared(acting text, in_schemas text)
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select extract(epoch from clock_timestamp() - l.seen_at)::double precision
    from control.leadership l
    where l.prepared_at is not null and l.prepared_schemas = in_schemas
$$;

grant execute on function control.leader_prepared(text, text) to medcloud_gateway;
