-- A cell is one Postgres cluster: every database in it costs connections, autovacuum's rounds and files, so their number is bounded.

-- The most tenants that a cell holds. Idle ones hold no connection; what grows with their number is autovacuum's round and the files.
-- There is one cell yet, so this is also the most that a region holds.
create function control.cell_capacity()
returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as 'select 500';

create function control.check_cell_capacity()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    present integer;
begin
    -- One insertion at a time in a cell, until its commit: what is counted here stays true.
    perform pg_advisory_xact_lock(hashtextextended('control.cell ' || new.cell, 0));
    -- All of them have a database or may have one: those being made, being removed, and those whose making failed.
    select count(*) into present from control.tenant t where t.cell = new.cell;
    if present >= control.cell_capacity() then
        raise exception using errcode = 'MCCEL',
            message = format(
                'the cell %s holds %s of at most %s tenants: delete one that is not needed, or use another region',
                new.cell, present, control.cell_capacity());
    end if;
    return new;
end
$$;
create trigger cell_capacity before insert on control.tenant
    for each row execute function control.check_cell_capacity();
