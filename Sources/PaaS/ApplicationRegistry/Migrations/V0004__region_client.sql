-- Clients of the region act for an institution, a tenant: in the view across institutions they are that tenant's, and they
-- end with it.

alter table control.client
    add column institution text collate "C" references control.tenant (id) on delete cascade,
    add constraint client_institution_check check (institution is null or tenant is null);
create index client_institution on control.client (institution) where institution is not null;

drop function control.clients(text, text, text);
create function control.clients(acting text, in_realm text, in_id text)
returns table (id text, name text, kind text, keys text, key_set_url text, scopes text, origins text[],
               disabled boolean, created_at text, institution text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select c.id, c.name, c.kind, c.keys, c.key_set_url, c.scopes, c.origins, c.disabled_at is not null,
               to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), c.institution
        from control.client c
        where c.realm = in_realm and (in_id is null or c.id = in_id)
        order by c.id;
end
$$;

drop function control.create_client(text, text, text, text, text, text, text, text, text, text[]);
-- The institution may still be in the making: its clients get no token before it serves.
create function control.create_client(
    acting text, actor text, in_realm text, in_id text, in_name text, in_kind text, in_keys text,
    in_key_set_url text, in_scopes text, in_origins text[], in_institution text default null)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if in_kind = 'operator' then
        raise exception using errcode = 'MC403', message = 'operators are made by the controller only';
    end if;
    if in_realm <> 'region' and in_institution is not null then
        raise exception using errcode = 'MC422', message = 'only a client of the region has an institution';
    elsif in_realm = 'region' then
        if in_kind <> 'system' then
            raise exception using errcode = 'MC422', message = 'kind of a client of the region must be "system"';
        end if;
        perform from control.tenant t
        where t.id = in_institution and t.state in ('provisioning', 'ready') for share;
        if not found then
            raise exception using errcode = 'MC422', message = 'institution must be a tenant of this region';
        end if;
    end if;
    insert into control.client (tenant, id, name, kind, keys, key_set_url, scopes, origins, institution, created_by)
    values (nullif(in_realm, 'region'), in_id, in_name, in_kind, in_keys, in_key_set_url, in_scopes, in_origins,
        in_institution, actor);
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'client.create', in_realm, in_id, 'done');
exception when unique_violation then
    raise exception using errcode = 'MC409', message = 'the client exists already';
end
$$;

-- As before; a client that acts for an institution is known only while that serves.
create or replace function control.use_assertion(acting text, in_client text, in_digest bytea, in_expires bigint)
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    serving text := nullif(acting, 'region');
    disabled timestamptz;
begin
    perform set_config('control.acting', acting, true);
    if serving is null then
        select c.institution into serving from control.client c where c.realm = acting and c.id = in_client;
    end if;
    if serving is not null then
        -- The tenant stays as it is until this commits.
        perform from control.tenant t where t.id = serving and t.state = 'ready' for share;
        if not found then
            return 'unknown';
        end if;
    end if;
    select c.disabled_at into disabled from control.client c
    where c.realm = acting and c.id = in_client for share;
    if not found then
        return 'unknown';
    end if;
    if disabled is not null then
        return 'disabled';
    end if;
    insert into control.assertion (tenant, client, digest, expires_at)
    values (nullif(acting, 'region'), in_client, in_digest, to_timestamp(in_expires))
    on conflict do nothing;
    if not found then
        return 'replayed';
    end if;
    return 'accepted';
end
$$;

grant execute on function
    control.clients(text, text, text),
    control.create_client(text, text, text, text, text, text, text, text, text, text[], text)
to medcloud_gateway;
