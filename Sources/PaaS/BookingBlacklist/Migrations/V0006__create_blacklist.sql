-- The region's booking blacklist: which persons may not book from when until when. Entries are made by the bureau, or by the
-- region's rule from the no-shows that the institutions' outboxes tell. Rules as in V0001: row security binds the owner,
-- functions name the acting institution ('region' is the region itself), the gateway may only call functions.
--
-- One lock serialises all that changes an entry, so the rule sees every institution's no-shows, and the numbers that entries
-- get follow the order of commits: who has read up to a number has missed nothing below it (docs/decisions/0014).

create schema blacklist;
grant usage on schema blacklist to medcloud_gateway;

-- From whom the region has heard, as region.feed.
create table blacklist.feed (
    tenant text collate "C" primary key,
    database text collate "C",
    token bigint not null,
    epoch integer not null default 1
);
alter table blacklist.feed enable row level security;
alter table blacklist.feed force row level security;
create policy acting on blacklist.feed
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- Appointments that were not kept, under each identifier of the institution's patient. What an institution says now: it goes
-- away when it is corrected.
create table blacklist.no_show (
    tenant text collate "C" not null,
    patient_id text collate "C" not null,
    appointment text collate "C" not null,
    system text collate "C" not null,
    value text collate "C" not null,
    starts timestamptz not null,
    epoch integer not null,
    primary key (tenant, patient_id, appointment, system, value)
);
create index no_show_person on blacklist.no_show (system, value, starts);
alter table blacklist.no_show enable row level security;
alter table blacklist.no_show force row level security;
create policy acting on blacklist.no_show
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- The current version of each entry. The columns beside the content are what is evaluated and copied.
create table blacklist.entry (
    id          uuid primary key,
    version     int not null,
    system      text collate "C" not null,
    value       text collate "C" not null,
    status      text not null check (status in ('active', 'inactive', 'entered-in-error')),
    starts      timestamptz not null,
    ends        timestamptz not null,
    -- Of an automatic entry: the no-show that it rests on, and the rule it was made by: how many no-shows, in how many
    -- months, for how many months.
    no_show_at  timestamptz,
    rule        integer[],
    -- The bureau has ended an automatic entry: no-shows up to no_show_at make no other.
    is_settled  boolean not null default false,
    content     text compression lz4 collate "C" not null,
    recorded_at timestamptz not null,
    position    bigint not null unique,
    check (starts < ends),
    check ((no_show_at is null) = (rule is null))
);
create index entry_person on blacklist.entry (system, value, recorded_at);
create index entry_recorded on blacklist.entry (recorded_at, id);
create unique index entry_automatic on blacklist.entry (system, value) where no_show_at is not null and status = 'active';
alter table blacklist.entry enable row level security;
alter table blacklist.entry force row level security;
create policy acting on blacklist.entry
    using (current_setting('region.acting', true) = 'region')
    with check (current_setting('region.acting', true) = 'region');

-- Every version, the current one too. Never changed. mark: random, so that a position of another history is recognised.
create table blacklist.entry_version (
    entry       uuid not null,
    version     int not null,
    -- The institution and its client; null = the region's rule.
    recorder    text collate "C",
    client      text collate "C",
    method      "char" not null,
    content     text compression lz4 collate "C" not null,
    recorded_at timestamptz not null,
    position    bigint not null unique,
    mark        uuid not null,
    primary key (entry, version)
);
alter table blacklist.entry_version enable row level security;
alter table blacklist.entry_version force row level security;
create policy reading on blacklist.entry_version for select
    using (current_setting('region.acting', true) = 'region');
create policy adding on blacklist.entry_version for insert
    with check (current_setting('region.acting', true) = 'region');

-- The last change: one row.
create table blacklist.head (
    position bigint not null,
    mark uuid,
    changed_at timestamptz
);
insert into blacklist.head (position) values (0);
alter table blacklist.head enable row level security;
alter table blacklist.head force row level security;
create policy acting on blacklist.head
    using (current_setting('region.acting', true) = 'region')
    with check (current_setting('region.acting', true) = 'region');

-- Requests to write an entry that had an Idempotency-Key, each in the transaction that wrote it, for 24 hours.
create table blacklist.request (
    institution text collate "C" not null,
    client      text collate "C" not null,
    operation   text collate "C" not null check (length(operation) <= 60),
    key         text collate "C" not null check (length(key) between 1 and 255),
    digest      bytea not null,
    entry       uuid not null,
    version     int not null,
    at          timestamptz not null default clock_timestamp(),
    primary key (institution, client, operation, key)
);
create index request_at on blacklist.request (at);
alter table blacklist.request enable row level security;
alter table blacklist.request force row level security;
create policy acting on blacklist.request
    using (current_setting('region.acting', true) in (institution, 'region'))
    with check (current_setting('region.acting', true) in (institution, 'region'));

-- What each tenant's copy was known to be when its holder last looked.
create table blacklist.copy (
    tenant text collate "C" primary key,
    database text collate "C" not null,
    token bigint not null,
    position bigint not null,
    mark uuid,
    noted_at timestamptz not null
);
alter table blacklist.copy enable row level security;
alter table blacklist.copy force row level security;
create policy acting on blacklist.copy
    using (current_setting('region.acting', true) in (tenant, 'region'))
    with check (current_setting('region.acting', true) in (tenant, 'region'));

-- Changes of entries. These run for the region; nobody outside calls them.

-- The lock that every change of an entry, and of what entries follow from, holds until its transaction ends.
create function blacklist.lock() returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_xact_lock(7061106)
$$;

-- Keeps a version of an entry, gives it the next position, and says that there is one. The caller has the lock.
create function blacklist.keep(
    in_id uuid, in_system text, in_value text, in_status text, in_starts timestamptz, in_ends timestamptz,
    in_no_show_at timestamptz, in_rule integer[], in_is_settled boolean, in_content text, in_recorder text, in_client text)
returns table (version int4, recorded_at timestamptz)
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
#variable_conflict use_column
declare
    current blacklist.entry%rowtype;
    next_version int4;
    next_position bigint;
    next_mark uuid := gen_random_uuid();
    at timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
    select e.* into current from blacklist.entry e where e.id = in_id;
    next_version := coalesce(current.version, 0) + 1;
    at := greatest(at, current.recorded_at + interval '1 millisecond');
    update blacklist.head h set position = h.position + 1, mark = next_mark, changed_at = at
    returning h.position into next_position;
    insert into blacklist.entry as e (id, version, system, value, status, starts, ends, no_show_at, rule, is_settled,
        content, recorded_at, position)
    values (in_id, next_version, in_system, in_value, in_status, in_starts, in_ends, in_no_show_at, in_rule, in_is_settled,
        in_content, at, next_position)
    on conflict (id) do update
    set version = excluded.version, status = excluded.status, starts = excluded.starts, ends = excluded.ends,
        no_show_at = excluded.no_show_at, rule = excluded.rule, is_settled = excluded.is_settled,
        content = excluded.content, recorded_at = excluded.recorded_at, position = excluded.position;
    insert into blacklist.entry_version (entry, version, recorder, client, method, content, recorded_at, position, mark)
    values (in_id, next_version, in_recorder, in_client, case when next_version = 1 then 'C' else 'U' end, in_content, at,
        next_position, next_mark);
    perform pg_notify('blacklist', '');
    return query select next_version, at;
end
$$;

-- The Flag of an automatic entry, in the stored form of resources. Its period is half-open here and inclusive there.
create function blacklist.automatic_flag(
    in_id uuid, in_system text, in_value text, in_status text, in_starts timestamptz, in_ends timestamptz, in_rule integer[])
returns text
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
    select format(
        '{"resourceType":"Flag","id":"%s","meta":{},"status":"%s","category":[{"coding":[{"system":'
        '"http://terminology.hl7.org/CodeSystem/flag-category","code":"admin"}]}],"code":{"coding":[{"system":'
        '"urn:medcloud:booking-bar","code":"no-show"}],"text":%s},"subject":{"identifier":{"system":%s,"value":%s}},'
        '"period":{"start":"%s","end":"%s"},"author":{"display":"The region"}}',
        in_id, in_status,
        to_json(format('%s appointments within %s months were not kept', in_rule[1], in_rule[2])),
        to_json(in_system), to_json(in_value), to_char(in_starts, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        to_char(in_ends - interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

-- Makes the automatic entry of a person what the no-shows say. in_rule null: the region bars nobody by itself; then an entry
-- that there is stands or falls by the rule it was made by.
create function blacklist.judge(in_system text, in_value text, in_rule integer[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
set timezone = 'UTC'
as $$
declare
    v_current blacklist.entry%rowtype;
    v_rule integer[];
    v_settled timestamptz;
    v_no_show timestamptz;
    v_ends timestamptz;
    v_status text := 'active';
    v_id uuid;
begin
    select e.* into v_current from blacklist.entry e
    where e.system = in_system and e.value = in_value and e.no_show_at is not null and e.status = 'active';
    v_rule := coalesce(in_rule, v_current.rule);
    if v_rule is null then
        return;
    end if;
    -- The latest no-show that has enough of them behind it. One in the future is somebody's mistake.
    select max(c.starts) into v_no_show
    from (
        select n.starts, count(*) over (
            order by n.starts range between make_interval(months => v_rule[2]) preceding and current row) as count
        from (
            select distinct s.tenant, s.appointment, s.starts
            from blacklist.no_show s
            where s.system = in_system and s.value = in_value and s.starts <= clock_timestamp()
        ) n
    ) c
    where c.count >= v_rule[1];
    select max(e.no_show_at) into v_settled from blacklist.entry e
    where e.system = in_system and e.value = in_value and e.is_settled;
    if v_no_show <= v_settled then
        v_no_show := null;
    end if;
    v_ends := v_no_show + make_interval(months => v_rule[3]);

    if v_current.id is null then
        if v_ends is null or v_ends <= clock_timestamp() then
            return;
        end if;
        v_id := gen_random_uuid();
    else
        v_id := v_current.id;
        if v_no_show is null then
            v_status := 'entered-in-error';
            v_no_show := v_current.no_show_at;
            v_ends := v_current.ends;
            v_rule := v_current.rule;
        elsif v_no_show = v_current.no_show_at and v_ends = v_current.ends then
            return;
        end if;
    end if;
    perform blacklist.keep(v_id, in_system, in_value, v_status, v_no_show, v_ends, v_no_show, v_rule, false,
        blacklist.automatic_flag(v_id, in_system, in_value, v_status, v_no_show, v_ends, v_rule), null, null);
end
$$;

-- The same for many, in one order.
create function blacklist.judge_all(in_systems text[], in_values text[], in_rule integer[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_person record;
begin
    for v_person in
        select distinct p.system collate "C" as system, p.value collate "C" as value
        from unnest(in_systems, in_values) as p(system, value)
        order by 1, 2
    loop
        perform blacklist.judge(v_person.system, v_person.value, in_rule);
    end loop;
end
$$;

-- Feeds, as in V0001. in_rule: null or how many no-shows, in how many months, for how many months.

create function blacklist.fence(acting text, in_database text, in_token bigint) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_epoch integer;
begin
    update blacklist.feed f set token = in_token
    where f.tenant = acting and f.database = in_database and f.token <= in_token
    returning f.epoch into v_epoch;
    if v_epoch is null then
        raise exception using errcode = 'MC423', message = 'the lease was lost';
    end if;
    return v_epoch;
end
$$;

-- Begins or goes on with a tenant's feed. false: no-shows of an earlier database of this tenant are to be removed first, with
-- blacklist.forget.
create function blacklist.begin_feed(acting text, in_database text, in_token bigint) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_database text;
begin
    perform set_config('region.acting', acting, true);
    insert into blacklist.feed (tenant, database, token) values (acting, in_database, in_token)
    on conflict (tenant) do nothing;
    select f.database into v_database from blacklist.feed f where f.tenant = acting for update;
    if v_database is null then
        update blacklist.feed f set database = in_database where f.tenant = acting;
    elsif v_database <> in_database then
        return false;
    end if;
    perform blacklist.fence(acting, in_database, in_token);
    return true;
end
$$;

-- Takes in which appointments of these patients were not kept, all of them, and the identifiers of each; facts and claims
-- name a patient by its ordinal from 1. The entries that follow are changed in the same transaction.
create function blacklist.tell(
    acting text, in_database text, in_token bigint, in_rule integer[], in_patients text[],
    in_fact_patient integer[], in_fact_appointment text[], in_fact_starts timestamptz[],
    in_claim_patient integer[], in_claim_system text[], in_claim_value text[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
    v_systems text[];
    v_values text[];
begin
    perform set_config('region.acting', acting, true);
    v_epoch := blacklist.fence(acting, in_database, in_token);
    -- Most appointments are kept: nothing to say, and nothing was said.
    if cardinality(in_fact_patient) = 0 and not exists (
        select from blacklist.no_show n where n.tenant = acting and n.patient_id = any (in_patients)) then
        return;
    end if;
    perform blacklist.lock();
    with stated as materialized (
        select distinct p.id as patient_id, f.appointment, c.system, c.value,
               date_trunc('milliseconds', f.starts) as starts
        from unnest(in_patients) with ordinality as p(id, ordinal)
        join unnest(in_fact_patient, in_fact_appointment, in_fact_starts) as f(patient, appointment, starts)
            on f.patient = p.ordinal
        join unnest(in_claim_patient, in_claim_system, in_claim_value) as c(patient, system, value)
            on c.patient = p.ordinal
    ), gone as (
        delete from blacklist.no_show n
        where n.tenant = acting and n.patient_id = any (in_patients)
          and not exists (
              select from stated s
              where s.patient_id = n.patient_id and s.appointment = n.appointment
                and s.system = n.system and s.value = n.value)
        returning n.system, n.value
    ), kept as (
        insert into blacklist.no_show as n (tenant, patient_id, appointment, system, value, starts, epoch)
        select acting, s.patient_id, s.appointment, s.system, s.value, s.starts, v_epoch from stated s
        on conflict (tenant, patient_id, appointment, system, value) do update
        set starts = excluded.starts, epoch = excluded.epoch
        returning n.system, n.value
    )
    select array_agg(a.system), array_agg(a.value) into v_systems, v_values
    from (select g.system, g.value from gone g union select k.system, k.value from kept k) a;
    perform blacklist.judge_all(v_systems, v_values, in_rule);
end
$$;

-- Removes up to in_limit of a tenant's no-shows whose epoch is below in_epoch, with what followed from them.
create function blacklist.remove(in_tenant text, in_epoch integer, in_rule integer[], in_limit integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set region.acting = 'region'
as $$
declare
    v_systems text[];
    v_values text[];
begin
    perform blacklist.lock();
    with gone as (
        delete from blacklist.no_show n
        where n.ctid = any (array(
            select o.ctid from blacklist.no_show o
            where o.tenant = in_tenant and o.epoch < in_epoch
            limit in_limit))
        returning n.system, n.value
    )
    select coalesce(array_agg(g.system), '{}'), coalesce(array_agg(g.value), '{}') into v_systems, v_values from gone g;
    perform blacklist.judge_all(v_systems, v_values, in_rule);
    return cardinality(v_systems);
end
$$;

create function blacklist.begin_rebuild(acting text, in_database text, in_token bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    perform blacklist.fence(acting, in_database, in_token);
    update blacklist.feed f set epoch = f.epoch + 1 where f.tenant = acting;
end
$$;

-- Ends a rebuild, in_limit no-shows at a time. Returns how many were removed; call it until none is.
create function blacklist.end_rebuild(
    acting text, in_database text, in_token bigint, in_rule integer[], in_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
begin
    perform set_config('region.acting', acting, true);
    v_epoch := blacklist.fence(acting, in_database, in_token);
    return blacklist.remove(acting, v_epoch, in_rule, in_limit);
end
$$;

-- Which tenants the region has heard from, by the database they came from.
create function blacklist.feeds(acting text) returns table (tenant text, database text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query select f.tenant, f.database from blacklist.feed f where f.database is not null order by f.tenant;
end
$$;

-- Forgets what a tenant's database that is gone has said and had, in_limit no-shows at a time. Returns how many were removed;
-- the feed is free for another database when none is.
create function blacklist.forget(
    acting text, in_tenant text, in_database text, in_rule integer[], in_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
declare
    v_epoch integer;
    v_count integer;
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    select f.epoch into v_epoch from blacklist.feed f
    where f.tenant = in_tenant and f.database = in_database for update;
    if v_epoch is null then
        return 0;
    end if;
    v_count := blacklist.remove(in_tenant, v_epoch + 1, in_rule, in_limit);
    if v_count = 0 then
        update blacklist.feed f set database = null where f.tenant = in_tenant;
        delete from blacklist.copy c where c.tenant = in_tenant and c.database = in_database;
    end if;
    return v_count;
end
$$;

-- The bureau's side and the readers'. The caller has checked who is the bureau. 55 is the code of Flag.

-- The person with this identifier, for the patient's log.
create function blacklist.person(in_system text, in_value text) returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select i.patient from region.patient_identifier i where i.system = in_system and i.value = in_value
$$;

-- What an earlier request with this key wrote; no row when there was none. MC409: the key came with another body.
create function blacklist.written(acting text, asker text[], in_operation text, in_key text, in_digest bytea)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    earlier blacklist.request%rowtype;
begin
    perform set_config('region.acting', 'region', true);
    select r.* into earlier from blacklist.request r
    where r.institution = acting and r.client = asker[1] and r.operation = in_operation and r.key = in_key
      and r.at > clock_timestamp() - interval '24 hours';
    if not found then
        return;
    elsif earlier.digest <> in_digest then
        raise exception using errcode = 'MC409', message = 'the key was used with another request';
    end if;
    return query
        select v.entry, v.version, v.recorded_at, v.content
        from blacklist.entry_version v
        where v.entry = earlier.entry and v.version = earlier.version;
end
$$;

-- Records an entry or a new version of one. in_expected: the version of If-Match, 0 for none; in_creates: a new identity.
-- Errors: MC404 no such entry, MC409 as above, MC412 (DETAIL current version), MC422 what has to stay (DETAIL person, period),
-- MC424 a transition that there is not (DETAIL from,to).
create function blacklist.write(
    acting text, asker text[], in_id uuid, in_creates boolean, in_expected int4, in_system text, in_value text,
    in_status text, in_starts timestamptz, in_ends timestamptz, in_content text, in_operation text, in_key text,
    in_digest bytea)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    current blacklist.entry%rowtype;
    kept record;
begin
    perform set_config('region.acting', 'region', true);
    perform blacklist.lock();
    if in_key is not null then
        delete from blacklist.request r where r.at <= clock_timestamp() - interval '24 hours';
        return query select w.* from blacklist.written(acting, asker, in_operation, in_key, in_digest) w;
        if found then
            return;
        end if;
        -- What ran before this call had its own setting.
        perform set_config('region.acting', 'region', true);
    end if;
    if in_creates then
        if in_status <> 'active' then
            raise exception using errcode = 'MC424', message = 'no such transition', detail = 'none,' || in_status;
        end if;
    else
        select e.* into current from blacklist.entry e where e.id = in_id;
        if not found then
            raise exception using errcode = 'MC404', message = 'no such entry';
        elsif in_expected > 0 and in_expected <> current.version then
            raise exception using errcode = 'MC412', message = 'version conflict', detail = current.version::text;
        elsif (current.system, current.value) <> (in_system, in_value) then
            raise exception using errcode = 'MC422', message = 'the person stays', detail = 'person';
        elsif (current.status, in_status) not in (('active', 'active'), ('active', 'inactive'),
                                                  ('active', 'entered-in-error'), ('inactive', 'entered-in-error')) then
            raise exception using errcode = 'MC424', message = 'no such transition',
                detail = current.status || ',' || in_status;
        elsif current.no_show_at is not null and (current.starts, current.ends) <> (in_starts, in_ends) then
            raise exception using errcode = 'MC422', message = 'the period stays', detail = 'period';
        end if;
    end if;
    select k.* into kept from blacklist.keep(in_id, in_system, in_value, in_status, in_starts, in_ends, current.no_show_at,
        current.rule, current.no_show_at is not null and in_status <> 'active', in_content, acting, asker[1]) k;
    if in_key is not null then
        insert into blacklist.request (institution, client, operation, key, digest, entry, version)
        values (acting, asker[1], in_operation, in_key, in_digest, in_id, kept.version);
    end if;
    perform region.add_audit(acting, asker, case when in_creates then 'C' else 'U' end::"char",
        case when in_creates then 6 else 7 end::int2, 0::int2, 55::int2, in_id::text, kept.version,
        blacklist.person(in_system, in_value), null, null, null, null);
    return query select in_id, kept.version, kept.recorded_at, in_content;
end
$$;

-- Entries, newest first, and the record of the reading. By id, or of a person, or all. in_bars: only those that bar now or
-- later. in_before is the place of a page: (recorded_at, id) of the last row seen.
create function blacklist.entries(
    acting text, asker text[], in_id uuid, in_system text, in_value text, in_status text, in_bars boolean,
    in_before timestamptz, in_before_id uuid, in_limit int4, in_query text)
returns table (id uuid, version int4, recorded_at timestamptz, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform set_config('region.acting', 'region', true);
    return query
        select e.id, e.version, e.recorded_at, e.content
        from blacklist.entry e
        where (in_id is null or e.id = in_id)
          and (in_system is null or (e.system = in_system and e.value = in_value))
          and (in_status is null or e.status = in_status)
          and (not in_bars or (e.status = 'active' and e.ends > clock_timestamp()))
          and (in_before is null or (e.recorded_at, e.id) < (in_before, in_before_id))
        order by e.recorded_at desc, e.id desc
        limit in_limit;
    if in_id is null then
        perform region.add_audit(acting, asker, 'E', 10::int2, 0::int2, 55::int2, null, null,
            blacklist.person(in_system, in_value), in_query, null, null, null);
    else
        perform region.add_audit(acting, asker, 'R', 1::int2, case when found then 0 else 4 end::int2, 55::int2,
            in_id::text, null,
            (select blacklist.person(e.system, e.value) from blacklist.entry e where e.id = in_id), null, null, null, null);
    end if;
end
$$;

-- The versions of an entry, newest first, or one of them; the reading is recorded.
create function blacklist.versions(acting text, asker text[], in_id uuid, in_version int4)
returns table (version int4, recorded_at timestamptz, method int2, content text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform set_config('region.acting', 'region', true);
    return query
        select v.version, v.recorded_at, ascii(v.method::text)::int2, v.content
        from blacklist.entry_version v
        where v.entry = in_id and (in_version is null or v.version = in_version)
        order by v.version desc;
    perform region.add_audit(acting, asker, 'R', case when in_version is null then 3 else 2 end::int2,
        case when found then 0 else 4 end::int2, 55::int2, in_id::text, in_version,
        (select blacklist.person(e.system, e.value) from blacklist.entry e where e.id = in_id), null, null, null, null);
end
$$;

-- Copies. Each tenant's database has one; who brings it to the head has the outbox lease of the consumer 'blacklist-copy'.

-- The last change, and the time here.
create function blacklist.head(acting text)
returns table ("position" bigint, mark text, at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query select h.position, h.mark::text, clock_timestamp() from blacklist.head h;
end
$$;

-- What the tenants' copies are known to be: how many changes each lacks, and for how many milliseconds the first of them.
create function blacklist.copies(acting text)
returns table (tenant text, database text, "position" bigint, mark text, noted_at timestamptz, behind bigint, lag bigint,
               is_asked boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
declare
    v_head bigint;
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    select h.position into v_head from blacklist.head h;
    return query
        select c.tenant, c.database, c.position, c.mark::text, c.noted_at, coalesce(n.count, 0),
               greatest(0, coalesce(extract(epoch from clock_timestamp() - n.since) * 1000, 0))::bigint,
               coalesce(l.wish is not null, false)
        from blacklist.copy c
        left join outbox.lease l on l.tenant = c.tenant and l.consumer = 'blacklist-copy'
        left join lateral (
            select count(*) as count, min(e.recorded_at) as since
            from blacklist.entry e where e.position > c.position and c.position < v_head
        ) n on c.position < v_head;
end
$$;

-- Whether this position is one of this history.
create function blacklist.knows(acting text, in_position bigint, in_mark uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return in_position = 0 or exists (
        select from blacklist.entry_version v where v.position = in_position and v.mark = in_mark);
end
$$;

-- The entries that changed after a position, in the order of their last changes.
create function blacklist.changes(acting text, in_position bigint, in_limit int4)
returns table ("position" bigint, mark text, id text, system text, value text, starts timestamptz, ends timestamptz,
               is_active boolean, age bigint, is_head boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
#variable_conflict use_column
begin
    perform region.require_region(acting);
    perform set_config('region.acting', acting, true);
    return query
        select e.position, v.mark::text, e.id::text, e.system, e.value, e.starts, e.ends, e.status = 'active',
               greatest(0, extract(epoch from clock_timestamp() - e.recorded_at) * 1000000)::bigint,
               e.position = (select h.position from blacklist.head h)
        from blacklist.entry e
        join blacklist.entry_version v on v.position = e.position
        where e.position > in_position
        order by e.position
        limit in_limit;
end
$$;

-- The holder tells what the tenant's copy is now. MC423: a later lease was here.
create function blacklist.note_copy(acting text, in_database text, in_token bigint, in_position bigint, in_mark uuid)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set region.acting = ''
as $$
begin
    perform set_config('region.acting', acting, true);
    insert into blacklist.copy as c (tenant, database, token, position, mark, noted_at)
    values (acting, in_database, in_token, in_position, in_mark, clock_timestamp())
    on conflict (tenant) do update
    set database = excluded.database, token = excluded.token, position = excluded.position, mark = excluded.mark,
        noted_at = excluded.noted_at
    where c.token <= excluded.token;
    if not found then
        raise exception using errcode = 'MC423', message = 'the lease was lost';
    end if;
end
$$;

grant execute on function
    blacklist.begin_feed(text, text, bigint),
    blacklist.tell(text, text, bigint, integer[], text[], integer[], text[], timestamptz[], integer[], text[], text[]),
    blacklist.begin_rebuild(text, text, bigint),
    blacklist.end_rebuild(text, text, bigint, integer[], integer),
    blacklist.feeds(text),
    blacklist.forget(text, text, text, integer[], integer),
    blacklist.written(text, text[], text, text, bytea),
    blacklist.write(text, text[], uuid, boolean, int4, text, text, text, timestamptz, timestamptz, text, text, text, bytea),
    blacklist.entries(text, text[], uuid, text, text, text, boolean, timestamptz, uuid, int4, text),
    blacklist.versions(text, text[], uuid, int4),
    blacklist.head(text),
    blacklist.copies(text),
    blacklist.knows(text, bigint, uuid),
    blacklist.changes(text, bigint, int4),
    blacklist.note_copy(text, text, bigint, bigint, uuid)
to medcloud_gateway;
