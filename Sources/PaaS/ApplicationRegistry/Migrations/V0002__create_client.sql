-- Clients, signing keys and used assertions of tenants and of the region. Rules as in V0001: row security binds the owner,
-- functions name the acting tenant, the gateway may only call functions.

create table control.client (
    tenant text collate "C" references control.tenant (id) on delete cascade,
    realm text collate "C" not null generated always as (coalesce(tenant, 'region')) stored,
    id text collate "C" not null check (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    name text not null check (length(name) between 1 and 200),
    kind text not null check (kind in ('operator', 'tenant-administrator', 'system')),
    keys text not null,
    key_set_url text check (length(key_set_url) <= 2000),
    scopes text not null check (length(scopes) between 1 and 4096),
    origins text[] collate "C" not null default '{}' check (cardinality(origins) <= 16),
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz,
    primary key (realm, id),
    check (kind <> 'operator' or tenant is null)
);
alter table control.client enable row level security;
alter table control.client force row level security;
create policy acting on control.client
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

create table control.signing_key (
    kid text collate "C" primary key,
    tenant text collate "C" references control.tenant (id) on delete cascade,
    realm text collate "C" not null generated always as (coalesce(tenant, 'region')) stored,
    public_key text not null,
    sealed bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    retired_at timestamptz
);
create unique index signing_key_active on control.signing_key (realm) where retired_at is null;
alter table control.signing_key enable row level security;
alter table control.signing_key force row level security;
create policy acting on control.signing_key
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- Each assertion is good once, at every worker and after every restart: the row is committed before a token is given.
create table control.assertion (
    tenant text collate "C" references control.tenant (id) on delete cascade,
    realm text collate "C" not null generated always as (coalesce(tenant, 'region')) stored,
    client text collate "C" not null,
    digest bytea not null,
    expires_at timestamptz not null,
    primary key (realm, client, digest)
);
create index assertion_expires_at on control.assertion (expires_at);
alter table control.assertion enable row level security;
alter table control.assertion force row level security;
create policy acting on control.assertion
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- Whether the acting realm is there and serves: the region always, a tenant once it is ready.
create function control.serves(acting text)
returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select acting = 'region'
        or exists (select from control.tenant t where t.id = acting and t.state = 'ready')
$$;

create function control.clients(acting text, in_realm text, in_id text)
returns table (id text, name text, kind text, keys text, key_set_url text, scopes text, origins text[],
               disabled boolean, created_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select c.id, c.name, c.kind, c.keys, c.key_set_url, c.scopes, c.origins, c.disabled_at is not null,
               to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.client c
        where c.realm = in_realm and (in_id is null or c.id = in_id)
        order by c.id;
end
$$;

-- Browser origins that clients of the realm may call from.
create function control.origins(acting text)
returns table (origin text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select distinct o.origin
        from control.client c cross join unnest(c.origins) as o (origin)
        where c.realm = acting and c.disabled_at is null;
end
$$;

create function control.create_client(
    acting text, actor text, in_realm text, in_id text, in_name text, in_kind text, in_keys text,
    in_key_set_url text, in_scopes text, in_origins text[])
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
    insert into control.client (tenant, id, name, kind, keys, key_set_url, scopes, origins, created_by)
    values (nullif(in_realm, 'region'), in_id, in_name, in_kind, in_keys, in_key_set_url, in_scopes, in_origins, actor);
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'client.create', in_realm, in_id, 'done');
exception when unique_violation then
    raise exception using errcode = 'MC409', message = 'the client exists already';
end
$$;

create function control.disable_client(acting text, actor text, in_realm text, in_id text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if in_realm = 'region' and in_id = actor then
        raise exception using errcode = 'MC403', message = 'a client cannot disable itself';
    end if;
    update control.client c set disabled_at = coalesce(c.disabled_at, clock_timestamp())
    where c.realm = in_realm and c.id = in_id;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such client';
    end if;
    perform control.invalidate('client', in_realm, in_id, null, now() + interval '10 minutes');
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'client.disable', in_realm, in_id, 'done');
end
$$;

-- Uses up an assertion. The client's row is locked against a concurrent disable_client, so a token whose assertion was
-- accepted is older than the cut that disables the client.
create function control.use_assertion(acting text, in_client text, in_digest bytea, in_expires bigint)
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    disabled timestamptz;
begin
    perform set_config('control.acting', acting, true);
    if acting <> 'region' then
        -- The tenant stays as it is until this commits.
        perform from control.tenant t where t.id = acting and t.state = 'ready' for share;
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

create function control.revoke_token(acting text, actor text, in_realm text, in_client text, in_token text,
                                     in_expires bigint)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    perform control.invalidate('token', in_realm, in_client, in_token, to_timestamp(in_expires) + interval '1 minute');
    insert into control.action (actor, action, realm, subject, outcome)
    values (actor, 'token.revoke', in_realm, in_client, 'done');
end
$$;

create function control.signing_keys(acting text)
returns table (kid text, public_key text, sealed bytea, active boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select k.kid, k.public_key, k.sealed, k.retired_at is null
        from control.signing_key k
        where k.realm = acting and (k.retired_at is null or k.retired_at > now() - interval '10 minutes')
          and control.serves(acting)
        order by k.created_at desc;
end
$$;

-- Gives a realm its first key. Whoever comes second keeps what is there.
create function control.add_signing_key(acting text, in_kid text, in_public_key text, in_sealed bytea)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not control.serves(acting) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    insert into control.signing_key (kid, tenant, public_key, sealed)
    values (in_kid, nullif(acting, 'region'), in_public_key, in_sealed)
    on conflict (realm) where retired_at is null do nothing;
end
$$;

grant execute on function
    control.clients(text, text, text),
    control.create_client(text, text, text, text, text, text, text, text, text, text[]),
    control.origins(text),
    control.disable_client(text, text, text, text),
    control.use_assertion(text, text, bytea, bigint),
    control.revoke_token(text, text, text, text, text, bigint),
    control.signing_keys(text),
    control.add_signing_key(text, text, text, bytea)
to medcloud_gateway;
