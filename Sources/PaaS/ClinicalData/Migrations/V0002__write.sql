-- The write path: n operations with their index rows, audit rows and change rows in one call, everything or nothing.
--
-- Operation codes: 1 create, 2 update (creates what is absent), 3 update that must create, 4 patch, 5 delete.
-- expected: the version of If-Match, 0 for none. The index rows are flat arrays; *_op is the operation's ordinal from 1.
-- Outcomes: 1 created, 2 updated, 3 deleted, 4 was already deleted, 5 never existed.
--
-- Errors, DETAIL = 'operation ordinal,current version':
--   MC404 patch of what is absent or deleted, MC409 create of an identity that exists, MC412 version or existence mismatch.
--
-- Rows are locked in (type, id) order, so two calls that share resources wait for each other instead of deadlocking.
-- fhir.history takes the superseded row. Index rows are left alone when index_hash did not change.
create function fhir.write(
    p_op int2[], p_type int2[], p_id text[], p_expected int4[], p_content text[], p_hash int8[], p_kinds int2[],
    p_patient text[],
    p_token_op int4[], p_token_param int4[], p_token_system text[], p_token_code text[],
    p_string_op int4[], p_string_param int4[], p_string_folded text[], p_string_value text[],
    p_date_op int4[], p_date_param int4[], p_date_low timestamptz[], p_date_high timestamptz[],
    p_reference_op int4[], p_reference_param int4[], p_reference_type int2[], p_reference_id text[],
    p_quantity_op int4[], p_quantity_param int4[], p_quantity_low numeric[], p_quantity_high numeric[],
    p_quantity_system text[], p_quantity_code text[], p_quantity_unit text[],
    p_uri_op int4[], p_uri_param int4[], p_uri_value text[],
    p_client text, p_practitioner text, p_purpose text, p_request_id text, p_source text, p_origin text)
returns table (outcome int2, version int4, last_updated timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_now      timestamptz := date_trunc('milliseconds', medcloud.now());
    v_count    int := cardinality(p_op);
    v_op       record;
    -- The row as it stands, nulls when there is none.
    c_rid      bigint;
    c_version  int4;
    c_updated  timestamptz;
    c_deleted  boolean;
    c_hash     int8;
    c_kinds    int2;
    c_patient  text;
    v_method   "char";
    v_rid      bigint;
    v_at       timestamptz;
    v_gone     boolean;
    -- By ordinal: the row, its outcome, version, time and patient; v_index is the row whose index rows are to be written.
    v_rids     bigint[] := array_fill(null::bigint, array[v_count]);
    v_index    bigint[] := v_rids;
    v_outcomes int2[] := array_fill(null::int2, array[v_count]);
    v_versions int4[] := array_fill(null::int4, array[v_count]);
    v_times    timestamptz[] := array_fill(null::timestamptz, array[v_count]);
    v_patients text[] := p_patient;
    v_stale    bigint[] := '{}';
    v_kinds    int := 0;
    v_indexing boolean := false;
begin
    for v_op in
        select o.op, o.type, o.id, o.expected, o.hash, o.kinds, o.ord::int as ord
        from unnest(p_op, p_type, p_id, p_expected, p_hash, p_kinds)
            with ordinality as o(op, type, id, expected, hash, kinds, ord)
        order by o.type, o.id
    loop
        v_method := case v_op.op when 1 then 'C' when 4 then 'P' when 5 then 'D' else 'U' end;
        -- Turns again only when another transaction inserted the same identity between the look and the insert.
        loop
            c_rid := null;
            if v_op.op <> 1 then
                select r.rid, r.version, r.last_updated, r.deleted, r.index_hash, r.index_kinds, r.patient
                into c_rid, c_version, c_updated, c_deleted, c_hash, c_kinds, c_patient
                from fhir.resource r
                where r.type = v_op.type and r.id = v_op.id
                for update;
            end if;
            exit when c_rid is not null;

            if v_op.expected > 0 then
                raise exception using errcode = 'MC412', message = 'version conflict', detail = v_op.ord || ',0';
            elsif v_op.op = 4 then
                raise exception using errcode = 'MC404', message = 'nothing to patch', detail = v_op.ord || ',0';
            elsif v_op.op = 5 then
                v_outcomes[v_op.ord] := 5;
                exit;
            end if;
            insert into fhir.resource (type, id, version, last_updated, method, deleted, index_kinds, index_hash,
                patient, content)
            values (v_op.type, v_op.id, 1, v_now, v_method, false, v_op.kinds, v_op.hash,
                p_patient[v_op.ord], p_content[v_op.ord])
            on conflict (type, id) do nothing
            returning rid into v_rid;
            if found then
                v_rids[v_op.ord] := v_rid;
                v_index[v_op.ord] := v_rid;
                v_indexing := true;
                v_outcomes[v_op.ord] := 1;
                v_versions[v_op.ord] := 1;
                v_times[v_op.ord] := v_now;
                exit;
            elsif v_op.op = 1 then
                raise exception using errcode = 'MC409', message = 'identity exists', detail = v_op.ord || ',0';
            end if;
        end loop;
        continue when c_rid is null;

        if v_op.expected > 0 and v_op.expected <> c_version then
            raise exception using errcode = 'MC412', message = 'version conflict',
                detail = v_op.ord || ',' || c_version;
        elsif v_op.op = 3 and not c_deleted then
            raise exception using errcode = 'MC412', message = 'resource exists',
                detail = v_op.ord || ',' || c_version;
        elsif v_op.op = 4 and c_deleted then
            raise exception using errcode = 'MC404', message = 'nothing to patch',
                detail = v_op.ord || ',' || c_version;
        end if;
        v_gone := v_op.op = 5;
        if v_gone and c_deleted then
            v_outcomes[v_op.ord] := 4;
            v_versions[v_op.ord] := c_version;
            v_times[v_op.ord] := c_updated;
            v_patients[v_op.ord] := c_patient;
            continue;
        end if;

        v_at := greatest(v_now, c_updated + interval '1 millisecond');
        with superseded as (
            insert into fhir.history (rid, version, type, id, last_updated, method, deleted, content)
            select h.rid, h.version, h.type, h.id, h.last_updated, h.method, h.deleted, h.content
            from fhir.resource h
            where h.rid = c_rid
        )
        update fhir.resource r
        set version = c_version + 1,
            last_updated = v_at,
            method = v_method,
            deleted = v_gone,
            index_kinds = v_op.kinds,
            index_hash = v_op.hash,
            patient = case when v_gone then r.patient else p_patient[v_op.ord] end,
            content = p_content[v_op.ord]
        where r.rid = c_rid;

        v_rids[v_op.ord] := c_rid;
        v_outcomes[v_op.ord] := case when v_gone then 3 when c_deleted then 1 else 2 end;
        v_versions[v_op.ord] := c_version + 1;
        v_times[v_op.ord] := v_at;
        if v_gone then
            v_patients[v_op.ord] := c_patient;
        end if;
        if c_hash <> v_op.hash or c_kinds <> v_op.kinds then
            v_index[v_op.ord] := c_rid;
            v_indexing := true;
            if c_kinds <> 0 then
                v_stale := v_stale || c_rid;
                v_kinds := v_kinds | c_kinds;
            end if;
        end if;
    end loop;

    if v_kinds & 1 <> 0 then
        delete from fhir.token where rid = any (v_stale);
    end if;
    if v_kinds & 2 <> 0 then
        delete from fhir.string where rid = any (v_stale);
    end if;
    if v_kinds & 4 <> 0 then
        delete from fhir.date where rid = any (v_stale);
    end if;
    if v_kinds & 8 <> 0 then
        delete from fhir.reference where rid = any (v_stale);
    end if;
    if v_kinds & 16 <> 0 then
        delete from fhir.quantity where rid = any (v_stale);
    end if;
    if v_kinds & 32 <> 0 then
        delete from fhir.uri where rid = any (v_stale);
    end if;

    if v_indexing then
        if cardinality(p_token_op) > 0 then
            insert into fhir.token (rid, param, system, code)
            select v_index[i.op], i.param, i.system, i.code
            from unnest(p_token_op, p_token_param, p_token_system, p_token_code) as i(op, param, system, code)
            where v_index[i.op] is not null;
        end if;
        if cardinality(p_string_op) > 0 then
            insert into fhir.string (rid, param, folded, value)
            select v_index[i.op], i.param, i.folded, i.value
            from unnest(p_string_op, p_string_param, p_string_folded, p_string_value) as i(op, param, folded, value)
            where v_index[i.op] is not null;
        end if;
        if cardinality(p_date_op) > 0 then
            insert into fhir.date (rid, param, low, high)
            select v_index[i.op], i.param, i.low, i.high
            from unnest(p_date_op, p_date_param, p_date_low, p_date_high) as i(op, param, low, high)
            where v_index[i.op] is not null;
        end if;
        if cardinality(p_reference_op) > 0 then
            insert into fhir.reference (rid, param, target_type, target_id)
            select v_index[i.op], i.param, i.target_type, i.target_id
            from unnest(p_reference_op, p_reference_param, p_reference_type, p_reference_id)
                as i(op, param, target_type, target_id)
            where v_index[i.op] is not null;
        end if;
        if cardinality(p_quantity_op) > 0 then
            insert into fhir.quantity (rid, param, low, high, system, code, unit)
            select v_index[i.op], i.param, i.low, i.high, i.system, i.code, i.unit
            from unnest(p_quantity_op, p_quantity_param, p_quantity_low, p_quantity_high, p_quantity_system,
                p_quantity_code, p_quantity_unit) as i(op, param, low, high, system, code, unit)
            where v_index[i.op] is not null;
        end if;
        if cardinality(p_uri_op) > 0 then
            insert into fhir.uri (rid, param, value)
            select v_index[i.op], i.param, i.value
            from unnest(p_uri_op, p_uri_param, p_uri_value) as i(op, param, value)
            where v_index[i.op] is not null;
        end if;
    end if;

    insert into fhir.change (rid, type, id, version, method, at)
    select o.rid, o.type, o.id, o.version,
        case o.op when 1 then 'C' when 4 then 'P' when 5 then 'D' else 'U' end::"char", o.at
    from unnest(p_op, p_type, p_id, v_rids, v_versions, v_times) as o(op, type, id, rid, version, at)
    where o.rid is not null;

    insert into audit.event (action, interaction, outcome, client, practitioner, purpose, request_id, source, origin,
        type, resource_id, version, patient)
    select case when o.op = 5 then 'D' when o.outcome = 1 then 'C' else 'U' end::"char",
        case o.op when 1 then 6 when 4 then 8 when 5 then 9 else 7 end, 0,
        p_client, p_practitioner, p_purpose, p_request_id, p_source, p_origin,
        o.type, o.id, o.version, o.patient
    from unnest(p_op, p_type, p_id, v_outcomes, v_versions, v_patients) as o(op, type, id, outcome, version, patient);

    return query select o.outcome, o.version, o.at from unnest(v_outcomes, v_versions, v_times) as o(outcome, version, at);
end
$$;

-- The current version, its row locked until the transaction ends: for a patch, which builds on what it reads. The gateway's
-- role may not lock rows by itself, because it may not update them.
create function fhir.locked(p_type int2, p_id text)
returns table (type int2, id text, version int4, last_updated timestamptz, deleted boolean, method "char", content text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
    select r.type, r.id, r.version, r.last_updated, r.deleted, r.method, r.content
    from fhir.resource r
    where r.type = p_type and r.id = p_id
    for update
$$;
