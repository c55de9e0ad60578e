-- A signing key is replaced when it is old. Its successor signs at once; itself is published and believed for ten minutes more
-- (control.signing_keys of V0002), which is longer than a worker goes on signing with it (a minute) and a token lives after
-- that (five).

drop function control.signing_keys(text);
create function control.signing_keys(acting text)
returns table (kid text, public_key text, sealed bytea, active boolean, seconds double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set control.acting = ''
as $$
begin
    perform set_config('control.acting', acting, true);
    return query
        select k.kid, k.public_key, k.sealed, k.retired_at is null,
            extract(epoch from clock_timestamp() - k.created_at)::double precision
        from control.signing_key k
        where k.realm = acting and (k.retired_at is null or k.retired_at > now() - interval '10 minutes')
          and control.serves(acting)
        order by k.created_at desc;
end
$$;

-- Puts a key in the place of the one that signs. Whoever comes second keeps what is there.
create function control.rotate_signing_key(
    acting text, in_old text, in_kid text, in_public_key text, in_sealed bytea)
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
    update control.signing_key k set retired_at = clock_timestamp()
    where k.kid = in_old and k.realm = acting and k.retired_at is null;
    if not found then
        return;
    end if;
    insert into control.signing_key (kid, tenant, public_key, sealed)
    values (in_kid, nullif(acting, 'region'), in_public_key, in_sealed);
    -- Nothing that they have signed is good any more.
    delete from control.signing_key k where k.realm = acting and k.retired_at < now() - interval '1 day';
    insert into control.action (actor, action, realm, subject, outcome)
    values ('gateway', 'signing-key.rotate', acting, in_kid, 'done');
end
$$;

grant execute on function
    control.signing_keys(text),
    control.rotate_signing_key(text, text, text, text, bytea)
to medcloud_gateway;
