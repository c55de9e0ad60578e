-- Audit of reads by id: those that one statement answers become one row instead of one each, because a row of audit.event
-- with its three index entries costs several times what the read itself does. audit.read_event shows them as events.

-- Events are numbered in blocks: a row of audit.event has the first number of a block, the reads of a batch have those
-- from the first on, so that they keep one order and any number leads to its row.
alter table audit.event alter column seq set increment by 64;
select setval('audit.event_seq_seq', (last_value / 64 + 1) * 64, false) from audit.event_seq_seq;

-- Append only, like audit.event. The arrays from types to actors have one element a read, in the order of their numbers;
-- actors holds positions in the five arrays behind it, which have one element for each who asked.
create table audit.read_batch (
    first_seq     bigint primary key default nextval('audit.event_seq_seq'),
    recorded      timestamptz not null default medcloud.now(),
    types         smallint[] not null,
    ids           text[] collate "C" not null,
    versions      int[] not null,
    outcomes      smallint[] not null,
    patients      text[] collate "C" not null,
    request_ids   text[] collate "C" not null,
    actors        smallint[] not null,
    clients       text[] collate "C" not null,
    practitioners text[] collate "C" not null,
    purposes      text[] collate "C" not null,
    sources       text[] collate "C" not null,
    origins       text[] collate "C" not null,
    check (first_seq % 64 = 0),
    check (cardinality(types) between 1 and 64)
-- A row stays in its page as it comes: taking it apart would cost more than it saves.
) with (toast_tuple_target = 8160);
alter table audit.read_batch alter column ids set storage main;
alter table audit.read_batch alter column patients set storage main;
alter table audit.read_batch alter column request_ids set storage main;

create index read_batch_recorded on audit.read_batch (recorded);
-- New entries wait in a list that is sorted in when it has grown to this many KiB: a short pause, not a long one.
create index read_batch_patients on audit.read_batch using gin (patients) with (gin_pending_list_limit = 256);

-- Rows as in audit.event. batch and batch_patients are for finding the row of audit.read_batch by an index.
create view audit.read_event as
select b.first_seq + r.position - 1 as seq, b.recorded, 'R'::"char" as action, 1::smallint as interaction, r.outcome, r.type,
    r.version, b.clients[r.actor] as client, b.practitioners[r.actor] as practitioner, b.purposes[r.actor] as purpose,
    r.request_id, b.sources[r.actor] as source, b.origins[r.actor] as origin, r.id as resource_id, r.patient,
    null::text collate "C" as query, b.first_seq as batch, b.patients as batch_patients
from audit.read_batch b
cross join lateral unnest(b.types, b.ids, b.versions, b.outcomes, b.patients, b.request_ids, b.actors) with ordinality
    as r(type, id, version, outcome, patient, request_id, actor, position);

do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'medcloud_tenant') then
        grant usage on sequence audit.event_seq_seq to medcloud_tenant;
        grant insert on audit.read_batch to medcloud_tenant;
        grant select on audit.read_event to medcloud_tenant;
    end if;
end
$$;
