"""PUT through the gateway against pgbench calling the same SQL function with the same kind of values."""

import json
import os
import pathlib
import re
import statistics
import tempfile

import patients


def literal(value) -> str:
    if value is None:
        return "null"
    # A colon before a letter or digit would be a pgbench variable.
    return "'" + re.sub(r":(?=\w)", ": ", str(value)).replace("'", "''") + "'"


def array(values, kind: str) -> str:
    return "array[" + ",".join(literal(value) for value in values) + f"]::{kind}[]"


# A time without colons, which Postgres reads back.
BASIC = "to_char(%s at time zone 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')"


def rows(region, database: str, table: str, columns: str, rid: str) -> list[list]:
    text = region.psql(
        database, f"select coalesce(json_agg(json_build_array({columns}))::text, '[]') from fhir.{table} "
        f"where rid = {rid}")
    return json.loads(text)


def script(region, database: str) -> str:
    """A pgbench script that updates one of the patients as the gateway does, all index rows rewritten."""
    rid, type_code, hash_kinds, content = region.psql(
        database, "select rid || '~' || type || '~' || index_kinds || '~' || content from fhir.resource "
        "where id = 'b1'").split("~", 3)
    tables = [
        ("token", "param, system, code", ["int4", "text", "text"]),
        ("string", "param, folded, value", ["int4", "text", "text"]),
        ("date", f"param, {BASIC % 'low'}, {BASIC % 'high'}", ["int4", "timestamptz", "timestamptz"]),
        ("reference", "param, target_type, target_id", ["int4", "int2", "text"]),
        ("quantity", "param, low, high, system, code, unit", ["int4", "numeric", "numeric", "text", "text", "text"]),
        ("uri", "param, value", ["int4", "text"]),
    ]
    arguments = [
        "array[2]::int2[]", f"array[{type_code}]::int2[]", "array['b' || (:n)::text]::text[]", "array[0]::int4[]",
        f"array[{literal(content)}]::text[]", "array[(:h)::int8]::int8[]", f"array[{hash_kinds}]::int2[]",
        "array['b' || (:m)::text]::text[]",
    ]
    for table, columns, kinds in tables:
        found = rows(region, database, table, columns, rid)
        arguments.append("array[" + ",".join("1" for _ in found) + "]::int4[]")
        for position, kind in enumerate(kinds):
            arguments.append(array([row[position] for row in found], kind))
    arguments += ["'h1-system'", "null", "null", "'0123456789abcdef'", "'127.0.0.1'", "'token'"]
    call = ", ".join(arguments)
    return (
        f"\\set n random(1, {patients.COUNT})\n\\set m :n\n\\set h random(1, 1000000000)\n"
        f"select * from fhir.write({call});\n")


def run(region, wrk, figure, note, rounds: int, seconds: int):
    token = region.token("h1")
    patients.load(region)
    database = region.tenant_database()
    path = pathlib.Path(tempfile.mkstemp(suffix=".sql")[1])
    path.write_text(script(region, database))
    os.chmod(path, 0o644)
    head, tail = json.dumps(patients.patient("ID", "FAMILY"), ensure_ascii=False).split("FAMILY")
    lua = (
        f"local head = [==[{head}]==]\nlocal tail = [==[{tail}]==]\n"
        "init = function(args) math.randomseed(os.time()) end\n"
        "request = function()\n"
        f"  local id = 'b' .. math.random({patients.COUNT})\n"
        "  local body = head:gsub('ID', id) .. 'F' .. math.random(1000000) .. tail\n"
        f"  return wrk.format('PUT', '/t/h1/fhir/Patient/' .. id, {{['Authorization'] = 'Bearer {token}', "
        "['Content-Type'] = 'application/fhir+json'}, body)\nend\n")
    wrk(region, lua, seconds=2)
    ratios = []
    for _ in range(rounds):
        theirs = region.pgbench(database, path, 64, seconds)
        ours, p99 = wrk(region, lua, seconds=seconds)
        note("put.pgbench", theirs, "tps")
        note("put.gateway", ours, f"req/s (p99 {p99:.1f} ms)")
        ratios.append(ours / theirs)
    figure("put.ratio", statistics.median(ratios), "of-pgbench", 0.7, True)
