-- The clinical store of one tenant: current resources, superseded versions, the order of changes, search index rows,
-- audit events and idempotency records. Runs as the platform's owner role; the gateway's role gets exactly what V0003 grants.

create schema if not exists medcloud;
create schema fhir;
create schema audit;

-- The tenant's time: the statement's time plus the sandbox offset, a setting of the database that is absent elsewhere.
create function medcloud.now() returns timestamptz
language sql stable parallel safe
as $$
    select statement_timestamp()
        + coalesce(nullif(current_setting('medcloud.clock_offset', true), '')::interval, interval '0')
$$;

create table fhir.resource (
    rid          bigint generated always as identity primary key,
    type         smallint not null,
    id           text collate "C" not null,
    version      int not null,
    last_updated timestamptz not null,
    method       "char" not null,
    deleted      boolean not null,
    index_kinds  smallint not null,
    index_hash   bigint not null,
    patient      text collate "C",
    content      text compression lz4 collate "C" not null,
    unique (type, id)
);
create index resource_last_updated on fhir.resource (type, last_updated, rid);
comment on column fhir.resource.content is
    'canonical bytes as they came, without meta.versionId and meta.lastUpdated; empty when deleted';
comment on column fhir.resource.index_kinds is
    'which index tables hold rows of this resource: 1 token, 2 string, 4 date, 8 reference, 16 quantity, 32 uri';

-- Superseded versions only; the current one is in fhir.resource.
create table fhir.history (
    rid          bigint not null,
    version      int not null,
    type         smallint not null,
    id           text collate "C" not null,
    last_updated timestamptz not null,
    method       "char" not null,
    deleted      boolean not null,
    content      text compression lz4 collate "C" not null,
    primary key (rid, version)
);

-- Every write in order.
create table fhir.change (
    seq     bigint generated always as identity primary key,
    rid     bigint not null,
    type    smallint not null,
    id      text collate "C" not null,
    version int not null,
    method  "char" not null,
    at      timestamptz not null
);
create index change_type on fhir.change (type, seq);
create index change_at on fhir.change (at);

create table fhir.token (
    rid    bigint not null,
    param  int not null,
    system text collate "C" not null,
    code   text collate "C" not null
);
-- rid before system: a page of one code comes in the default order whatever its system is.
create index token_code on fhir.token (param, code, rid, system);
-- A code that is common under one parameter says nothing of another's.
create statistics fhir.token_param_code (mcv, ndistinct) on param, code from fhir.token;
create index token_resource on fhir.token (rid, param);

create table fhir.string (
    rid    bigint not null,
    param  int not null,
    folded text collate "C" not null,
    value  text collate "C" not null
);
create index string_folded on fhir.string (param, left(folded, 128), rid);
create index string_resource on fhir.string (rid, param);

create table fhir.date (
    rid   bigint not null,
    param int not null,
    low   timestamptz not null,
    high  timestamptz not null
);
create index date_low on fhir.date (param, low, rid);
create index date_high on fhir.date (param, high, rid);
create index date_resource on fhir.date (rid, param);

create table fhir.reference (
    rid         bigint not null,
    param       int not null,
    target_type smallint not null,
    target_id   text collate "C" not null
);
create index reference_target on fhir.reference (param, target_id, target_type, rid);
create index reference_any on fhir.reference (target_id, target_type);
create index reference_resource on fhir.reference (rid, param);

create table fhir.quantity (
    rid    bigint not null,
    param  int not null,
    low    numeric not null,
    high   numeric not null,
    system text collate "C" not null,
    code   text collate "C" not null,
    unit   text collate "C" not null
);
create index quantity_code on fhir.quantity (param, code, low, rid);
create index quantity_low on fhir.quantity (param, low, rid);
create index quantity_resource on fhir.quantity (rid, param);

create table fhir.uri (
    rid   bigint not null,
    param int not null,
    value text collate "C" not null
);
create index uri_value on fhir.uri (param, value, rid);
create index uri_resource on fhir.uri (rid, param);

-- Compact audit rows, append only; rendered as BALP AuditEvent with the id 'audit-' || seq.
create table audit.event (
    seq          bigint generated always as identity primary key,
    recorded     timestamptz not null default medcloud.now(),
    action       "char" not null,
    interaction  smallint not null,
    outcome      smallint not null,
    type         smallint,
    version      int,
    client       text collate "C" not null,
    practitioner text collate "C",
    purpose      text collate "C",
    request_id   text collate "C",
    source       text collate "C",
    origin       text collate "C",
    resource_id  text collate "C",
    patient      text collate "C",
    query        text collate "C"
);
create index event_patient on audit.event (patient, seq) where patient is not null;
create index event_recorded on audit.event (recorded);
comment on column audit.event.action is 'C create, R read, U update, D delete, E execute (search and others)';
comment on column audit.event.outcome is '0 success, 4 minor failure (not found, refused), 8 serious failure, 12 major failure';

-- Answers by Idempotency-Key, committed with their effect.
create table medcloud.idempotency (
    client     text collate "C" not null,
    key        text collate "C" not null,
    method     text collate "C" not null,
    path       text collate "C" not null,
    body_hash  bytea not null,
    status     int not null,
    headers    text collate "C" not null,
    body       text compression lz4 collate "C" not null,
    created_at timestamptz not null default medcloud.now(),
    primary key (client, key, method, path)
);
create index idempotency_created on medcloud.idempotency (created_at);
