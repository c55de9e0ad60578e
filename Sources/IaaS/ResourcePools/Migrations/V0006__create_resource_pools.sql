-- Resource pools: what each tenant may use, what it uses, its networks and instances, and the record of use. Rules as in V0001:
-- row security binds the owner, functions name the acting tenant, the gateway may only call functions.
--
-- Functions without `acting` decide, inside the caller's transaction and as its acting tenant; those with `acting` are the
-- gateway's way to them. What the controller sees it writes itself, as superuser; how an operation ends is settled here.
-- Refusals: MC404, MC409, MC422 as elsewhere, and with a JSON object as DETAIL
--   MCQTA  over a quota       {"dimension", "limit", "used", "requested", "remaining"}
--   MCSTA  not in this state  {"from", "event"}
--   MC422  a bad value        {"field", "rule"}
--   MCHST  the region has no compute.

-- What the controller found on its host: one row while there is one.
create table control.host (
    one boolean primary key default true check (one),
    hypervisor text not null,
    cores integer not null,
    memory bigint not null,
    is_accelerated boolean not null,
    seen_at timestamptz not null default clock_timestamp()
);
alter table control.host enable row level security;
alter table control.host force row level security;
create policy acting on control.host using (current_setting('control.acting', true) <> '');

-- Base images that are there to make instances from.
create table control.image (
    name text collate "C" primary key check (name ~ '^[a-z]([a-z0-9.-]{0,61}[a-z0-9])?$'),
    disk bigint not null check (disk > 0),
    memory bigint not null check (memory > 0),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$')
);
alter table control.image enable row level security;
alter table control.image force row level security;
create policy acting on control.image using (current_setting('control.acting', true) <> '');

-- How a tenant wants differences between what is and what was asked for treated.
create table control.pool (
    tenant text collate "C" primary key references control.tenant (id) on delete cascade,
    drift_policy text not null default 'report' check (drift_policy in ('report', 'repair'))
);
alter table control.pool enable row level security;
alter table control.pool force row level security;
create policy acting on control.pool
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- The limits of a tenant and what is taken of them. No row is a limit of nothing.
create table control.quota (
    tenant text collate "C" not null references control.tenant (id) on delete cascade,
    dimension text collate "C" not null
        check (dimension in ('instances', 'running', 'vcpus', 'memory', 'storage', 'networks')),
    maximum bigint not null check (maximum >= 0),
    used bigint not null default 0 check (used >= 0),
    primary key (tenant, dimension),
    check (used <= maximum)
);
alter table control.quota enable row level security;
alter table control.quota force row level security;
create policy acting on control.quota
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- Who holds what of it. `used` above is the sum of these.
create table control.reservation (
    holder uuid not null,
    tenant text collate "C" not null,
    dimension text collate "C" not null,
    amount bigint not null check (amount > 0),
    primary key (holder, dimension),
    foreign key (tenant, dimension) references control.quota (tenant, dimension)
);
create index reservation_tenant on control.reservation (tenant, dimension);
alter table control.reservation enable row level security;
alter table control.reservation force row level security;
create policy acting on control.reservation
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- Networks of one region share its hosts, so their addresses may not overlap, whosever they are.
create table control.network (
    id uuid primary key default gen_random_uuid(),
    tenant text collate "C" not null references control.tenant (id),
    name text collate "C" not null check (name ~ '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$'),
    resource text collate "C" not null unique check (resource ~ '^n-[a-z2-7]{26}$'),
    cidr cidr not null check (
        family(cidr) = 4 and masklen(cidr) between 16 and 29
        and (cidr <<= '10.0.0.0/8' or cidr <<= '172.16.0.0/12' or cidr <<= '192.168.0.0/16')),
    state text not null default 'requested'
        check (state in ('requested', 'ready', 'deleting', 'failed')),
    reason text,
    operation uuid,
    -- A network of the same name takes this one's place as soon as this one is gone.
    is_replaced boolean not null default false,
    replaces uuid references control.network (id) on delete set null,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    constraint network_cidr_is_free exclude using gist (cidr inet_ops with &&) where (not is_replaced)
);
create unique index network_name on control.network (tenant, name) where not is_replaced;
alter table control.network enable row level security;
alter table control.network force row level security;
create policy acting on control.network
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

create table control.instance (
    -- Also the domain's UUID.
    id uuid primary key default gen_random_uuid(),
    tenant text collate "C" not null references control.tenant (id),
    name text collate "C" not null check (name ~ '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$'),
    resource text collate "C" not null unique check (resource ~ '^i-[a-z2-7]{26}$'),
    network uuid not null references control.network (id),
    address inet not null,
    mac macaddr not null unique,
    -- What was asked for.
    image text collate "C" not null,
    vcpus bigint not null check (vcpus between 1 and 64),
    memory bigint not null check (memory % 1048576 = 0 and memory between 67108864 and 1099511627776),
    disk bigint not null check (disk % 1048576 = 0 and disk between 1048576 and 17592186044416),
    ssh_keys text[] not null default '{}' check (cardinality(ssh_keys) <= 16),
    running boolean not null,
    probe jsonb not null,
    probe_deadline integer not null check (probe_deadline between 1 and 3600),
    -- What was asked for before the operation under way, until that ends; and the state it began in.
    previous jsonb,
    state_before text,
    operation uuid,
    -- What is.
    state text not null default 'requested'
        check (state in ('requested', 'running', 'stopped', 'starting', 'stopping', 'rebooting', 'updating', 'deleting',
                         'crashed', 'failed')),
    observed text check (observed in ('running', 'paused', 'shutting-down', 'shut-off', 'crashed')),
    is_running boolean not null default false,
    ready boolean not null default false,
    reason text,
    -- Since when it runs, and how often it was started again behind its back since then.
    started_at timestamptz,
    restarts integer not null default 0,
    restarted_at timestamptz,
    is_replaced boolean not null default false,
    replaces uuid references control.instance (id) on delete set null,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    unique (network, address)
);
create unique index instance_name on control.instance (tenant, name) where not is_replaced;
create index instance_replaces on control.instance (replaces) where replaces is not null;
alter table control.instance enable row level security;
alter table control.instance force row level security;
create policy acting on control.instance
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- From `at` on an instance used this much, until its next row. Append-only, and kept when instance and tenant are gone:
-- an interval ends where the next begins, so their sum is the time that went by.
create table control.usage (
    seq bigint generated always as identity primary key,
    tenant text collate "C" not null,
    instance uuid not null,
    name text collate "C" not null,
    at timestamptz not null,
    reason text not null
        check (reason in ('created', 'started', 'stopped', 'resized', 'deleted')),
    is_running boolean not null,
    vcpus bigint not null,
    memory bigint not null,
    storage bigint not null
);
create index usage_instance on control.usage (instance, seq);
create index usage_tenant on control.usage (tenant, at);
alter table control.usage enable row level security;
alter table control.usage force row level security;
create policy acting on control.usage
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- Differences between what was asked for and what is, as they are now; and what the host holds that no row names.
create table control.drift (
    tenant text collate "C" references control.tenant (id) on delete cascade,
    realm text collate "C" not null generated always as (coalesce(tenant, 'region')) stored,
    resource text collate "C" not null,
    kind text not null check (kind in ('missing', 'stopped', 'running', 'changed', 'orphan')),
    name text collate "C",
    expected text not null,
    found text not null,
    action text not null check (action in ('reported', 'repairing', 'given-up')),
    since timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    primary key (resource, kind)
);
alter table control.drift enable row level security;
alter table control.drift force row level security;
create policy acting on control.drift
    using (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'))
    with check (current_setting('control.acting', true) in (coalesce(tenant, 'region'), 'region'));

-- The end of a console log, read by the controller when somebody asks; the gateway has no way to the hypervisor.
create table control.console (
    instance uuid primary key references control.instance (id) on delete cascade,
    tenant text collate "C" not null,
    asked_at timestamptz not null default clock_timestamp(),
    read_at timestamptz,
    log bytea check (length(log) <= 65536),
    error text
);
alter table control.console enable row level security;
alter table control.console force row level security;
create policy acting on control.console
    using (current_setting('control.acting', true) in (tenant, 'region'))
    with check (current_setting('control.acting', true) in (tenant, 'region'));

-- MARK: Refusals and checks

create function control.refuse_value(in_field text, in_rule text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using errcode = 'MC422', message = in_field || ' ' || in_rule,
        detail = json_build_object('field', in_field, 'rule', in_rule)::text;
end
$$;

-- A member of a specification as an integer within bounds; null when it is absent.
create function control.checked_integer(spec jsonb, in_field text, lowest bigint, highest bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    value numeric;
begin
    if spec -> in_field is null or jsonb_typeof(spec -> in_field) = 'null' then
        return null;
    end if;
    if jsonb_typeof(spec -> in_field) = 'number' then
        value := (spec ->> in_field)::numeric;
    end if;
    if value is null or value <> trunc(value) or value not between lowest and highest then
        perform control.refuse_value(in_field, format('must be a whole number from %s to %s', lowest, highest));
    end if;
    return value::bigint;
end
$$;

-- A member of a specification as text that follows a rule.
create function control.checked_text(spec jsonb, in_field text, pattern text, in_rule text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if jsonb_typeof(spec -> in_field) is distinct from 'string' or spec ->> in_field !~ pattern then
        perform control.refuse_value(in_field, in_rule);
    end if;
    return spec ->> in_field;
end
$$;

create function control.check_members(spec jsonb, known text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    stranger text;
begin
    if jsonb_typeof(spec) is distinct from 'object' then
        perform control.refuse_value('', 'must be a JSON object');
    end if;
    select k into stranger from jsonb_object_keys(spec) as k where k <> all (known) order by k limit 1;
    if stranger is not null then
        perform control.refuse_value(stranger, 'is not known here; known are ' || array_to_string(known, ', '));
    end if;
end
$$;

-- 26 characters of base32 with 130 random bits: the opaque part of a resource's name.
create function control.random_name()
returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', (get_byte(random.digest, i) & 31) + 1, 1), '' order by i)
    from (select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as digest) as random,
         generate_series(0, 25) as i
$$;

-- A random unicast address, locally administered.
create function control.random_mac()
returns macaddr
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select ('02' || substr(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 1, 10))::macaddr
$$;

create function control.require_compute()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from control.host) then
        raise exception using errcode = 'MCHST', message = 'this region runs without compute';
    end if;
end
$$;

-- One at a time changes what a tenant has, until it commits: requests, and the ends of operations. The database still
-- decides by its constraints; this keeps two that touch the same rows in another order from waiting for each other.
create function control.lock_pool(in_tenant text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_xact_lock(hashtextextended(in_tenant, 7061002))
$$;

-- The tenant stays as it is until this commits.
create function control.require_tenant(in_tenant text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    was text;
begin
    perform control.lock_pool(in_tenant);
    select t.state into was from control.tenant t where t.id = in_tenant for share;
    if was is null then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    if was in ('deleting', 'failed') then
        raise exception using errcode = 'MC409', message = 'the tenant is ' || was;
    end if;
end
$$;

-- MARK: The ledger

-- Brings what a holder has to these amounts: all of it, or nothing and a refusal that says what is left. Rows are locked in
-- one order.
create function control.reserve(in_tenant text, in_holder uuid, in_amounts jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    step record;
    change bigint;
    limited control.quota%rowtype;
begin
    for step in
        select d.dimension, coalesce((in_amounts ->> d.dimension)::bigint, 0) as wanted, coalesce(r.amount, 0) as held
        from unnest(array['instances', 'running', 'vcpus', 'memory', 'storage', 'networks'])
             with ordinality as d (dimension, position)
             left join control.reservation r on r.holder = in_holder and r.dimension = d.dimension
        order by d.position
    loop
        change := step.wanted - step.held;
        continue when change = 0;
        update control.quota q set used = q.used + change
        where q.tenant = in_tenant and q.dimension = step.dimension and (change < 0 or q.used + change <= q.maximum);
        if not found then
            select * into limited from control.quota q where q.tenant = in_tenant and q.dimension = step.dimension;
            raise exception using errcode = 'MCQTA',
                message = format('the quota of %s is %s, of which %s are left', step.dimension,
                                 coalesce(limited.maximum, 0), coalesce(limited.maximum - limited.used, 0)),
                detail = json_build_object(
                    'dimension', step.dimension, 'limit', coalesce(limited.maximum, 0),
                    'used', coalesce(limited.used, 0), 'requested', change,
                    'remaining', coalesce(limited.maximum - limited.used, 0))::text;
        end if;
        if step.wanted = 0 then
            delete from control.reservation r where r.holder = in_holder and r.dimension = step.dimension;
        else
            insert into control.reservation (holder, tenant, dimension, amount)
            values (in_holder, in_tenant, step.dimension, step.wanted)
            on conflict (holder, dimension) do update set amount = excluded.amount;
        end if;
    end loop;
end
$$;

-- What an instance counts for by itself: the larger of what it was and what it is to be, while it changes.
create function control.own_amounts(i control.instance)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'instances', 1,
        'running', (i.running or coalesce((i.previous ->> 'running')::boolean, false))::integer,
        'vcpus', greatest(i.vcpus, (i.previous ->> 'vcpus')::bigint),
        'memory', greatest(i.memory, (i.previous ->> 'memory')::bigint),
        'storage', greatest(i.disk, (i.previous ->> 'disk')::bigint))
$$;

-- What an instance is to hold: a replacement only what exceeds the one that goes, as long as that one is there.
create function control.amounts(i control.instance)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (select jsonb_object_agg(a.key, greatest(a.value::text::bigint - (control.own_amounts(old) ->> a.key)::bigint, 0))
         from control.instance old, jsonb_each(control.own_amounts(i)) as a
         where old.id = i.replaces),
        control.own_amounts(i))
$$;

create function control.network_amounts(n control.network)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object('networks', case when n.replaces is null then 1 else 0 end)
$$;

-- Sets limits; a dimension that is not named is zero. Refuses a limit below what is used.
create function control.set_quota(actor text, in_tenant text, quota jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    known constant text[] := array['instances', 'running', 'vcpus', 'memory', 'storage', 'networks'];
    one text;
    wanted bigint;
    present control.quota%rowtype;
begin
    perform control.require_tenant(in_tenant);
    perform control.check_members(quota, known);
    foreach one in array known loop
        wanted := coalesce(control.checked_integer(quota, one, 0, 4611686018427387904), 0);
        insert into control.quota (tenant, dimension, maximum) values (in_tenant, one, wanted)
        on conflict (tenant, dimension) do update set maximum = excluded.maximum
        where control.quota.used <= excluded.maximum;
        if not found then
            select * into strict present from control.quota q where q.tenant = in_tenant and q.dimension = one;
            raise exception using errcode = 'MC422',
                message = format('the quota of %s cannot be %s: %s are used', one, wanted, present.used),
                detail = json_build_object(
                    'field', one, 'rule', format('must be at least %s, which is used', present.used),
                    'dimension', one, 'limit', present.maximum, 'used', present.used, 'requested', wanted,
                    'remaining', present.maximum - present.used)::text;
        end if;
    end loop;
    insert into control.action (actor, action, realm, outcome) values (actor, 'quota.set', in_tenant, 'done');
end
$$;

create function control.set_drift_policy(actor text, in_tenant text, policy text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_tenant(in_tenant);
    if policy is null or policy not in ('report', 'repair') then
        perform control.refuse_value('driftPolicy', 'must be report or repair');
    end if;
    insert into control.pool (tenant, drift_policy) values (in_tenant, policy)
    on conflict (tenant) do update set drift_policy = excluded.drift_policy;
    insert into control.action (actor, action, realm, outcome) values (actor, 'drift-policy.set', in_tenant, 'done');
end
$$;

-- Where ledger, reservations and rows differ: no row is as it should be.
create function control.recount()
returns table (tenant text, dimension text, used bigint, reserved bigint, counted bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with held as (
        select r.tenant, r.dimension, sum(r.amount)::bigint as amount
        from control.reservation r group by r.tenant, r.dimension
    ), counted as (
        select c.tenant, c.dimension, sum(c.amount)::bigint as amount
        from (
            select i.tenant, a.key as dimension, a.value::text::bigint as amount
            from control.instance i cross join lateral jsonb_each(control.amounts(i)) as a
            union all
            select n.tenant, a.key, a.value::text::bigint
            from control.network n cross join lateral jsonb_each(control.network_amounts(n)) as a
        ) c
        group by c.tenant, c.dimension
    )
    select q.tenant, q.dimension, q.used, coalesce(h.amount, 0), coalesce(c.amount, 0)
    from control.quota q
    left join held h on h.tenant = q.tenant and h.dimension = q.dimension
    left join counted c on c.tenant = q.tenant and c.dimension = q.dimension
    where q.used <> coalesce(h.amount, 0) or q.used <> coalesce(c.amount, 0)
$$;

-- MARK: Networks

create function control.create_network(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    wanted_name text;
    wanted cidr;
    leaving control.network%rowtype;
    made control.network%rowtype;
    mine text;
    started uuid;
begin
    perform control.require_compute();
    perform control.require_tenant(in_tenant);
    perform control.check_members(spec, array['name', 'cidr']);
    wanted_name := control.checked_text(spec, 'name', '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$',
        'must be a lower-case letter, then up to 30 letters, digits or hyphens, not ending in a hyphen');
    begin
        wanted := (spec ->> 'cidr')::cidr;
    exception when invalid_text_representation then
        wanted := null;
    end;
    if wanted is null or spec ->> 'cidr' <> wanted::text or family(wanted) <> 4 or masklen(wanted) not between 16 and 29
       or not (wanted <<= '10.0.0.0/8' or wanted <<= '172.16.0.0/12' or wanted <<= '192.168.0.0/16') then
        perform control.refuse_value('cidr',
            'must be a private IPv4 range from /16 to /29 without host bits, such as 10.40.1.0/24');
    end if;
    select * into leaving from control.network n
    where n.tenant = in_tenant and n.name = wanted_name and not n.is_replaced for update;
    if found then
        if leaving.state <> 'deleting' or leaving.operation <> all (coalesce(in_after, '{}')) then
            raise exception using errcode = 'MC409', message = 'the network exists already';
        end if;
        update control.network n set is_replaced = true where n.id = leaving.id;
    end if;
    begin
        insert into control.network (tenant, name, resource, cidr, replaces, created_by)
        values (in_tenant, wanted_name, 'n-' || control.random_name(), wanted, leaving.id, actor)
        returning * into made;
    exception
        when exclusion_violation then
            -- Another tenant's networks are not this one's to know.
            select n.name into mine from control.network n
            where n.tenant = in_tenant and n.cidr && wanted and not n.is_replaced order by n.name limit 1;
            raise exception using errcode = 'MC409',
                message = case when mine is null then 'the address range is not free in this region; choose another'
                               else 'the address range overlaps with the network ' || mine end;
        when unique_violation then
            raise exception using errcode = 'MC409', message = 'the network exists already';
    end;
    perform control.reserve(in_tenant, made.id, control.network_amounts(made));
    started := control.begin_operation(actor, 'network.create', in_tenant, wanted_name,
        jsonb_build_object('network', made.id), in_parent, in_after, interval '10 minutes');
    update control.network n set operation = started where n.id = made.id;
    return started;
end
$$;

create function control.delete_network(actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.network%rowtype;
    users text;
    started uuid;
begin
    perform control.require_tenant(in_tenant);
    select * into present from control.network n
    where n.tenant = in_tenant and n.name = in_name and not n.is_replaced for update;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such network';
    end if;
    if present.state not in ('ready', 'failed') then
        raise exception using errcode = 'MCSTA', message = 'the network is ' || present.state,
            detail = json_build_object('from', present.state, 'event', 'delete')::text;
    end if;
    select string_agg(i.name, ', ' order by i.name) into users from control.instance i
    where i.network = present.id
      and (i.state <> 'deleting' or i.operation <> all (coalesce(in_after, '{}')));
    if users is not null then
        raise exception using errcode = 'MC409', message = 'the network is in use by ' || users;
    end if;
    started := control.begin_operation(actor, 'network.delete', in_tenant, in_name,
        jsonb_build_object('network', present.id), in_parent, in_after, interval '10 minutes');
    update control.network n set state = 'deleting', operation = started, changed_at = clock_timestamp()
    where n.id = present.id;
    return started;
end
$$;

-- MARK: Instances

-- The specification of an instance as it was asked for, in the form of the API.
create function control.instance_spec(i control.instance)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'name', i.name, 'image', i.image, 'vcpus', i.vcpus, 'memory', i.memory, 'disk', i.disk,
        'network', (select n.name from control.network n where n.id = i.network), 'sshKeys', to_jsonb(i.ssh_keys),
        'running', i.running, 'probe', i.probe, 'probeDeadline', i.probe_deadline)
$$;

-- Whether a text is one line of an OpenSSH public key without options, such as `ssh-ed25519 AAAA… name`: the type that is
-- written is the type that is encoded (RFC 4253 §6.6).
create function control.is_public_key(line text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    kind text := split_part(line, ' ', 1);
    key bytea;
begin
    if length(line) > 2048
       or line !~ '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]{40,}={0,2}( [ -~]{0,200})?$' then
        return false;
    end if;
    key := decode(split_part(line, ' ', 2), 'base64');
    return length(key) > 4 + length(kind) + 4
       and substr(key, 1, 4 + length(kind)) = int4send(length(kind)) || convert_to(kind, 'UTF8');
exception when invalid_parameter_value then
    return false;
end
$$;

-- The same, checked member by member and completed with what may be left out.
create function control.checked_instance(spec jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    result jsonb;
    key jsonb;
    probe jsonb;
    kind text;
    base control.image%rowtype;
begin
    perform control.check_members(spec, array['name', 'image', 'vcpus', 'memory', 'disk', 'network', 'sshKeys', 'running',
                                              'probe', 'probeDeadline']);
    result := jsonb_build_object(
        'name', control.checked_text(spec, 'name', '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$',
            'must be a lower-case letter, then up to 30 letters, digits or hyphens, not ending in a hyphen'),
        'image', control.checked_text(spec, 'image', '^[a-z]([a-z0-9.-]{0,61}[a-z0-9])?$', 'must be the name of an image'),
        'network', control.checked_text(spec, 'network', '^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$',
            'must be the name of a network'),
        'vcpus', control.checked_integer(spec, 'vcpus', 1, 64),
        'memory', control.checked_integer(spec, 'memory', 67108864, 1099511627776),
        'disk', control.checked_integer(spec, 'disk', 1048576, 17592186044416),
        'probeDeadline', coalesce(control.checked_integer(spec, 'probeDeadline', 1, 3600), 120),
        'running', coalesce(spec -> 'running', 'true'),
        'sshKeys', coalesce(spec -> 'sshKeys', '[]'),
        'probe', coalesce(spec -> 'probe', '{"tcp": {"port": 22}}'));
    foreach kind in array array['vcpus', 'memory', 'disk'] loop
        if jsonb_typeof(result -> kind) = 'null' then
            perform control.refuse_value(kind, 'is missing');
        end if;
    end loop;
    foreach kind in array array['memory', 'disk'] loop
        if (result ->> kind)::bigint % 1048576 <> 0 then
            perform control.refuse_value(kind, 'must be a multiple of 1 MiB (1048576 bytes)');
        end if;
    end loop;
    if jsonb_typeof(result -> 'running') <> 'boolean' then
        perform control.refuse_value('running', 'must be true or false');
    end if;
    if jsonb_typeof(result -> 'sshKeys') <> 'array' or jsonb_array_length(result -> 'sshKeys') > 16 then
        perform control.refuse_value('sshKeys', 'must be a list of at most 16 keys');
    end if;
    for key in select value from jsonb_array_elements(result -> 'sshKeys') loop
        if jsonb_typeof(key) <> 'string' or not control.is_public_key(key #>> '{}') then
            perform control.refuse_value('sshKeys', 'must each be one line of an OpenSSH public key, without options');
        end if;
    end loop;
    kind := case when jsonb_typeof(result -> 'probe') = 'object'
                 then (select string_agg(k, ',') from jsonb_object_keys(result -> 'probe') as k) end;
    if kind is null or kind not in ('tcp', 'http') then
        perform control.refuse_value('probe', 'must be {"tcp": {"port"}} or {"http": {"port", "path"}}');
    end if;
    probe := result #> array['probe', kind];
    perform control.check_members(probe, case kind when 'tcp' then array['port'] else array['port', 'path'] end);
    if control.checked_integer(probe, 'port', 1, 65535) is null then
        perform control.refuse_value('port', 'is missing');
    end if;
    if kind = 'http' then
        perform control.checked_text(probe, 'path', '^/[A-Za-z0-9/._~%?=&,:@+-]{0,199}$',
            'must be a path of at most 200 characters that begins with /, without spaces');
    end if;
    select * into base from control.image m where m.name = result ->> 'image';
    if not found then
        perform control.refuse_value('image', coalesce(
            'is not known; there are ' || (select string_agg(m.name, ', ' order by m.name) from control.image m),
            'is not known; there is no image yet'));
    end if;
    if (result ->> 'memory')::bigint < base.memory then
        perform control.refuse_value('memory', format('must be at least %s for this image', base.memory));
    end if;
    if (result ->> 'disk')::bigint < base.disk then
        perform control.refuse_value('disk', format('must be at least %s for this image', base.disk));
    end if;
    return result;
end
$$;

-- The lowest address of a network that nobody has: the first is the host's. The caller holds the network's row.
create function control.free_address(in_network uuid)
returns inet
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select candidate.address
    from control.network n
    cross join lateral (
        select set_masklen(n.cidr::inet, 32) + 2 as address
        union all
        select i.address + 1 from control.instance i where i.network = n.id
    ) candidate
    where n.id = in_network and candidate.address < set_masklen(broadcast(n.cidr), 32)
      and not exists (
          select from control.instance i where i.network = in_network and i.address = candidate.address)
    order by candidate.address
    limit 1
$$;

create function control.create_instance(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    checked jsonb;
    place control.network%rowtype;
    leaving control.instance%rowtype;
    made control.instance%rowtype;
    free inet;
    after uuid[] := coalesce(in_after, '{}');
    started uuid;
begin
    perform control.require_compute();
    perform control.require_tenant(in_tenant);
    checked := control.checked_instance(spec);
    select * into place from control.network n
    where n.tenant = in_tenant and n.name = checked ->> 'network' and not n.is_replaced for update;
    if not found or place.state not in ('requested', 'ready') then
        perform control.refuse_value('network', 'names no network of this tenant');
    end if;
    if place.state = 'requested' and place.operation <> all (after) then
        after := after || place.operation;
    end if;
    select * into leaving from control.instance i
    where i.tenant = in_tenant and i.name = checked ->> 'name' and not i.is_replaced for update;
    if found then
        if leaving.state <> 'deleting' or leaving.operation <> all (after) then
            raise exception using errcode = 'MC409', message = 'the instance exists already';
        end if;
        update control.instance i set is_replaced = true where i.id = leaving.id;
    end if;
    free := control.free_address(place.id);
    if free is null then
        raise exception using errcode = 'MC409', message = 'the network has no free address left';
    end if;
    begin
        insert into control.instance (
            tenant, name, resource, network, address, mac, image, vcpus, memory, disk, ssh_keys, running, probe,
            probe_deadline, reason, replaces, created_by)
        values (
            in_tenant, checked ->> 'name', 'i-' || control.random_name(), place.id, free, control.random_mac(),
            checked ->> 'image', (checked ->> 'vcpus')::bigint, (checked ->> 'memory')::bigint,
            (checked ->> 'disk')::bigint, array(select jsonb_array_elements_text(checked -> 'sshKeys')),
            (checked ->> 'running')::boolean, checked -> 'probe', (checked ->> 'probeDeadline')::integer,
            'it is being made', leaving.id, actor)
        returning * into made;
    exception when unique_violation then
        raise exception using errcode = 'MC409', message = 'the instance exists already';
    end;
    perform control.reserve(in_tenant, made.id, control.amounts(made));
    started := control.begin_operation(actor, 'instance.create', in_tenant, made.name,
        jsonb_build_object('instance', made.id), in_parent, after,
        interval '10 minutes' + made.probe_deadline * interval '1 second');
    update control.instance i set operation = started where i.id = made.id;
    return started;
end
$$;

-- The transitions that requests make. The machine in Swift has the same, which a test compares.
create function control.instance_transition(in_state text, in_event text)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when in_event = 'start' and in_state in ('stopped', 'crashed') then 'starting'
        when in_event = 'stop' and in_state in ('running', 'crashed') then 'stopping'
        when in_event = 'reboot' and in_state = 'running' then 'rebooting'
        when in_event = 'update' and in_state in ('running', 'stopped', 'crashed') then 'updating'
        when in_event = 'delete' and in_state in ('running', 'stopped', 'crashed', 'failed') then 'deleting'
    end
$$;

-- Finds the instance, holds its row, and checks that the event may happen now.
create function control.take_instance(in_tenant text, in_name text, in_event text)
returns control.instance
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.instance%rowtype;
begin
    perform control.require_tenant(in_tenant);
    select * into present from control.instance i
    where i.tenant = in_tenant and i.name = in_name and not i.is_replaced for update;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such instance';
    end if;
    if control.instance_transition(present.state, in_event) is null then
        raise exception using errcode = 'MCSTA', message = format('an instance that is %s cannot %s', present.state, in_event),
            detail = json_build_object('from', present.state, 'event', in_event)::text;
    end if;
    return present;
end
$$;

-- Starts an operation on an instance that exists: the row, the reservation and the operation together. `changed` is the
-- specification to be, as far as it differs.
create function control.change_instance(
    actor text, present control.instance, in_event text, changed jsonb, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    before jsonb := control.instance_spec(present);
    after jsonb := before || changed;
    changing control.instance%rowtype;
    started uuid;
begin
    started := control.begin_operation(actor, 'instance.' || in_event, present.tenant, present.name,
        jsonb_build_object('instance', present.id, 'from', before, 'to', after), in_parent, in_after,
        interval '10 minutes' + present.probe_deadline * interval '1 second');
    update control.instance i
    set state = control.instance_transition(present.state, in_event), state_before = present.state, previous = before,
        operation = started, changed_at = clock_timestamp(), restarts = 0,
        vcpus = (after ->> 'vcpus')::bigint, memory = (after ->> 'memory')::bigint, disk = (after ->> 'disk')::bigint,
        running = (after ->> 'running')::boolean, probe = after -> 'probe',
        ssh_keys = array(select jsonb_array_elements_text(after -> 'sshKeys')),
        probe_deadline = (after ->> 'probeDeadline')::integer
    where i.id = present.id
    returning * into changing;
    perform control.reserve(present.tenant, present.id, control.amounts(changing));
    return started;
end
$$;

-- Makes an instance as the specification says, where that needs no new one. Null when it is so already.
create function control.update_instance(actor text, in_tenant text, spec jsonb, in_parent uuid, in_after uuid[])
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

create function control.start_instance(actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_compute();
    return control.change_instance(actor, control.take_instance(in_tenant, in_name, 'start'), 'start',
        '{"running": true}', in_parent, in_after);
end
$$;

create function control.stop_instance(actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_compute();
    return control.change_instance(actor, control.take_instance(in_tenant, in_name, 'stop'), 'stop',
        '{"running": false}', in_parent, in_after);
end
$$;

create function control.reboot_instance(actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform control.require_compute();
    return control.change_instance(actor, control.take_instance(in_tenant, in_name, 'reboot'), 'reboot',
        '{}', in_parent, in_after);
end
$$;

create function control.delete_instance(actor text, in_tenant text, in_name text, in_parent uuid, in_after uuid[])
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return control.change_instance(actor, control.take_instance(in_tenant, in_name, 'delete'), 'delete',
        '{}', in_parent, in_after);
end
$$;

-- MARK: The end of an operation

-- Nothing is left of an instance: its reservation goes, and what it counted for instead of its successor is the
-- successor's. One that never came into being leaves the name to the one it was to replace.
create function control.remove_instance(present control.instance)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    successor control.instance%rowtype;
begin
    perform control.reserve(present.tenant, present.id, '{}');
    for successor in
        update control.instance i set replaces = null where i.replaces = present.id returning i.*
    loop
        perform control.reserve(successor.tenant, successor.id, control.amounts(successor));
    end loop;
    delete from control.instance i where i.id = present.id;
    update control.instance i set is_replaced = false where i.id = present.replaces;
end
$$;

-- In the transaction that ends an operation, whoever ends it and why: what it was to change is so now, or is as before, and
-- the reservation follows. So nothing is held for an operation that is over.
create function control.settle_instance()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.instance%rowtype;
    succeeded constant boolean := new.phase = 'succeeded';
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
    if not succeeded and present.previous is not null then
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
                     when not succeeded then i.state_before
                     when i.running then 'running' else 'stopped' end,
        ready = i.ready and i.running,
        reason = case when i.ready and i.running then null
                      when not i.running then 'it is stopped'
                      when i.reason = 'it is being made' then 'it was not looked at yet'
                      else i.reason end
    where i.id = present.id
    returning * into present;
    perform control.reserve(present.tenant, present.id, control.amounts(present));
    return null;
end
$$;

create function control.settle_network()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.network%rowtype;
    successor control.network%rowtype;
    orphan control.instance%rowtype;
    succeeded constant boolean := new.phase = 'succeeded';
begin
    perform control.lock_pool(new.tenant);
    select * into present from control.network n
    where n.id = (new.input ->> 'network')::uuid and n.operation = new.id for update;
    if not found then
        return null;
    end if;
    if (new.kind = 'network.delete' and succeeded) or (new.kind = 'network.create' and not succeeded) then
        -- Instances that waited for a network which does not come: their own operations end because of it.
        for orphan in select * from control.instance i where i.network = present.id and i.state = 'requested' for update loop
            perform control.remove_instance(orphan);
        end loop;
        perform control.reserve(present.tenant, present.id, '{}');
        for successor in
            update control.network n set replaces = null where n.replaces = present.id returning n.*
        loop
            perform control.reserve(successor.tenant, successor.id, control.network_amounts(successor));
        end loop;
        delete from control.network n where n.id = present.id;
        if new.kind = 'network.create' and present.replaces is not null then
            update control.network n set is_replaced = false where n.id = present.replaces;
        end if;
        return null;
    end if;
    update control.network n
    set operation = null, changed_at = clock_timestamp(),
        state = case when new.kind = 'network.delete' then 'failed' else 'ready' end
    where n.id = present.id;
    return null;
end
$$;

create trigger settle_instance after update of phase on control.operation
    for each row when (new.kind like 'instance.%' and old.phase <> new.phase
                       and new.phase in ('succeeded', 'failed', 'cancelled'))
    execute function control.settle_instance();
create trigger settle_network after update of phase on control.operation
    for each row when (new.kind like 'network.%' and old.phase <> new.phase
                       and new.phase in ('succeeded', 'failed', 'cancelled'))
    execute function control.settle_network();

-- MARK: The record of use

create function control.record_usage()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present control.instance%rowtype;
    last control.usage%rowtype;
    why text;
    -- While a change is under way the instance is what it was.
    now_vcpus bigint;
    now_memory bigint;
    now_storage bigint;
begin
    present := case when tg_op = 'DELETE' then old else new end;
    now_vcpus := coalesce((present.previous ->> 'vcpus')::bigint, present.vcpus);
    now_memory := coalesce((present.previous ->> 'memory')::bigint, present.memory);
    now_storage := coalesce((present.previous ->> 'disk')::bigint, present.disk);
    select * into last from control.usage u where u.instance = present.id order by u.seq desc limit 1;
    why := case
        when tg_op = 'DELETE' then 'deleted'
        when last.seq is null then 'created'
        when present.is_running and not last.is_running then 'started'
        when not present.is_running and last.is_running then 'stopped'
        when (now_vcpus, now_memory, now_storage) is distinct from (last.vcpus, last.memory, last.storage) then 'resized'
    end;
    if why is not null then
        insert into control.usage (tenant, instance, name, at, reason, is_running, vcpus, memory, storage)
        values (present.tenant, present.id, present.name,
                -- A clock that was set back makes no interval of less than nothing.
                greatest(clock_timestamp(), last.at), why, tg_op <> 'DELETE' and present.is_running,
                case when tg_op = 'DELETE' then 0 else now_vcpus end,
                case when tg_op = 'DELETE' then 0 else now_memory end,
                case when tg_op = 'DELETE' then 0 else now_storage end);
    end if;
    return null;
end
$$;
create trigger record_usage after insert or update or delete on control.instance
    for each row execute function control.record_usage();

create function control.refuse_rewriting()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using errcode = 'MC403', message = 'the record of use is append-only';
end
$$;
create trigger append_only before update or delete or truncate on control.usage
    for each statement execute function control.refuse_rewriting();

-- Intervals of use that touch the given time, cut to it.
create function control.usage_intervals(in_tenant text, in_from timestamptz, in_until timestamptz)
returns table (instance uuid, name text, begins timestamptz, ends timestamptz, reason text, is_running boolean,
               vcpus bigint, memory bigint, storage bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select u.instance, u.name, greatest(u.at, in_from), least(coalesce(u.until, clock_timestamp()), in_until), u.reason,
           u.is_running, u.vcpus, u.memory, u.storage
    from (
        select a.*, lead(a.at) over (partition by a.instance order by a.seq) as until
        from control.usage a where a.tenant = in_tenant
    ) u
    where u.reason <> 'deleted' and u.at < in_until and coalesce(u.until, clock_timestamp()) > in_from
    order by u.at, u.seq
$$;

-- MARK: A tenant that is to go

-- Takes its instances and networks with it only when their deletion was asked for before.
create function control.refuse_deleting_used_tenant()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    rest text;
begin
    select string_agg(r.name, ', ' order by r.name) into rest
    from (
        select 'instance ' || i.name as name from control.instance i where i.tenant = new.id and i.state <> 'deleting'
        union all
        select 'network ' || n.name from control.network n where n.tenant = new.id and n.state <> 'deleting'
    ) r;
    if rest is not null then
        raise exception using errcode = 'MC409', message = 'the tenant still has ' || rest;
    end if;
    return new;
end
$$;
create trigger refuse_deleting_used_tenant before update of state on control.tenant
    for each row when (new.state = 'deleting' and old.state <> 'deleting')
    execute function control.refuse_deleting_used_tenant();

-- MARK: The gateway's

-- Who may act on a tenant's pool: the region and the tenant itself. For anybody else it does not exist.
create function control.require_acting(acting text, in_tenant text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if acting is distinct from 'region' and acting is distinct from in_tenant then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
end
$$;

create function control.ask_network(acting text, actor text, in_tenant text, verb text, in_name text, spec jsonb)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    return case verb
        when 'create' then control.create_network(actor, in_tenant, spec, null, null)
        when 'delete' then control.delete_network(actor, in_tenant, in_name, null, null)
    end;
end
$$;

create function control.ask_instance(acting text, actor text, in_tenant text, verb text, in_name text, spec jsonb)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    return case verb
        when 'create' then control.create_instance(actor, in_tenant, spec, null, null)
        when 'update' then control.update_instance(actor, in_tenant, spec, null, null)
        when 'delete' then control.delete_instance(actor, in_tenant, in_name, null, null)
        when 'start' then control.start_instance(actor, in_tenant, in_name, null, null)
        when 'stop' then control.stop_instance(actor, in_tenant, in_name, null, null)
        when 'reboot' then control.reboot_instance(actor, in_tenant, in_name, null, null)
    end;
end
$$;

create function control.ask_quota(acting text, actor text, in_tenant text, quota jsonb)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    if acting is distinct from 'region' then
        raise exception using errcode = 'MC403', message = 'only the region sets quotas';
    end if;
    perform set_config('control.acting', acting, true);
    perform control.set_quota(actor, in_tenant, quota);
end
$$;

create function control.quotas(acting text, in_tenant text)
returns table (dimension text, maximum bigint, used bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not exists (select from control.tenant t where t.id = in_tenant) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    return query
        select d.dimension, coalesce(q.maximum, 0), coalesce(q.used, 0)
        from unnest(array['instances', 'running', 'vcpus', 'memory', 'storage', 'networks'])
             with ordinality as d (dimension, position)
             left join control.quota q on q.tenant = in_tenant and q.dimension = d.dimension
        order by d.position;
end
$$;

create function control.networks(acting text, in_tenant text, in_name text)
returns table (name text, cidr text, state text, reason text, operation uuid, instances bigint, created_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not exists (select from control.tenant t where t.id = in_tenant) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    return query
        select n.name, n.cidr::text, n.state, n.reason, n.operation,
               (select count(*) from control.instance i where i.network = n.id),
               to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.network n
        where n.tenant = in_tenant and not n.is_replaced and (in_name is null or n.name = in_name)
        order by n.name;
end
$$;

create function control.instances(acting text, in_tenant text, in_name text)
returns table (id uuid, name text, spec jsonb, mac text, address text, state text, observed text, ready boolean, reason text,
               restarts integer, operation uuid, created_at text, changed_at text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    if not exists (select from control.tenant t where t.id = in_tenant) then
        raise exception using errcode = 'MC404', message = 'no such tenant';
    end if;
    return query
        select i.id, i.name, control.instance_spec(i), i.mac::text, host(i.address), i.state, i.observed, i.ready, i.reason,
               i.restarts, i.operation,
               to_char(i.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               to_char(i.changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.instance i
        where i.tenant = in_tenant and not i.is_replaced and (in_name is null or i.name = in_name)
        order by i.name;
end
$$;

-- Times are microseconds since 1970; no upper end is now.
create function control.usage_of(acting text, in_tenant text, in_from bigint, in_until bigint)
returns table (instance uuid, name text, begins bigint, ends bigint, reason text, is_running boolean, vcpus bigint,
               memory bigint, storage bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    return query
        select u.instance, u.name, (extract(epoch from u.begins) * 1000000)::bigint,
               (extract(epoch from u.ends) * 1000000)::bigint, u.reason, u.is_running, u.vcpus, u.memory, u.storage
        from control.usage_intervals(
            in_tenant, to_timestamp(in_from / 1000000.0), to_timestamp(in_until / 1000000.0)) u
        limit 10001;
end
$$;

create function control.images(acting text)
returns table (name text, disk bigint, memory bigint, sha256 text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query select m.name, m.disk, m.memory, m.sha256 from control.image m order by m.name;
end
$$;

create function control.drifts(acting text)
returns table (tenant text, kind text, name text, expected text, found text, action text, since text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select d.tenant, d.kind, coalesce(d.name, d.resource), d.expected, d.found, d.action,
               to_char(d.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from control.drift d
        order by d.tenant nulls last, d.name, d.resource, d.kind
        limit 10000;
end
$$;

-- Asks the controller for the end of a console log, unless somebody did within this second; gives the time to wait for.
create function control.ask_console(acting text, in_tenant text, in_name text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
declare
    present control.instance%rowtype;
    asked timestamptz;
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    perform control.require_compute();
    select * into present from control.instance i
    where i.tenant = in_tenant and i.name = in_name and not i.is_replaced;
    if not found then
        raise exception using errcode = 'MC404', message = 'no such instance';
    end if;
    insert into control.console as c (instance, tenant) values (present.id, present.tenant)
    on conflict (instance) do update set asked_at = clock_timestamp()
    where c.asked_at < clock_timestamp() - interval '1 second'
    returning c.asked_at into asked;
    if asked is null then
        select c.asked_at into strict asked from control.console c where c.instance = present.id;
    else
        perform pg_notify('control_console', '');
    end if;
    return (extract(epoch from asked) * 1000000)::bigint;
end
$$;

-- What was read since then; no row as long as there is nothing.
create function control.console_log(acting text, in_tenant text, in_name text, in_since bigint)
returns table (log bytea, error text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform control.require_acting(acting, in_tenant);
    perform set_config('control.acting', acting, true);
    return query
        select c.log, c.error
        from control.console c join control.instance i on i.id = c.instance
        where i.tenant = in_tenant and i.name = in_name and not i.is_replaced
          and c.read_at >= to_timestamp(in_since / 1000000.0);
end
$$;

grant execute on function
    control.ask_network(text, text, text, text, text, jsonb),
    control.ask_instance(text, text, text, text, text, jsonb),
    control.ask_quota(text, text, text, jsonb),
    control.quotas(text, text),
    control.networks(text, text, text),
    control.instances(text, text, text),
    control.usage_of(text, text, bigint, bigint),
    control.images(text),
    control.drifts(text),
    control.ask_console(text, text, text),
    control.console_log(text, text, text, bigint)
to medcloud_gateway;
