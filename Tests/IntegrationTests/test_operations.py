"""Operations over HTTP and the command line: lists, streams, cancellation, and who may see what."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid

import pytest

from blackbox.administrator import administrator, call
from blackbox.control import Control, events, tenant_body
from blackbox.region import Region, until


@pytest.fixture(scope="module")
def control(region: Region) -> Control:
    return Control(region)


def ask(region: Region, name: str) -> dict:
    """Asks for a tenant; the operation."""
    answer = region.api("POST", "/v1/tenants", tenant_body(name))
    assert answer.status == 202, answer
    operation = answer.json()
    assert answer.headers["Location"] == f"/v1/operations/{operation['id']}"
    return operation


def test_a_tenant_is_made_by_an_operation_that_can_be_watched(region: Region, control: Control):
    """Events count without gaps, percents only grow, the last one is the end; whoever comes back misses none."""
    operation = ask(region, "op-watched")
    path = f"/v1/operations/{operation['id']}/events"
    seen = list(events(region, path, str(region.operator_token)))
    assert [int(identity) for identity, _, _ in seen] == list(range(1, len(seen) + 1))
    assert [name for _, name, _ in seen] == ["progress"] * (len(seen) - 1) + ["end"]
    percents = [data["percent"] for _, _, data in seen]
    assert percents == sorted(percents) and percents[-1] == 100
    assert seen[-1][2]["phase"] == "succeeded" and seen[-1][2]["endedAt"]
    rest = list(events(region, path, str(region.operator_token), last=3))
    assert [int(identity) for identity, _, _ in rest] == list(range(4, len(seen) + 1))
    again = list(events(region, path, str(region.operator_token), last=len(seen)))
    assert [name for _, name, _ in again] == ["end"]
    shown = control.operation(operation["id"])
    assert set(shown) == {
        "id", "kind", "tenant", "subject", "phase", "percent", "step", "message", "error", "parent", "createdAt", "startedAt",
        "endedAt", "deadline"}
    tenant = region.api("GET", "/v1/tenants/op-watched").json()
    assert tenant["operation"] == operation["id"] and tenant["state"] == "ready" and tenant["kind"] == "hospital"


def test_lists_are_filtered_and_paged(region: Region, control: Control):
    """Newest first; `next` leads through all of them, each once."""
    made = [control.ended(ask(region, f"op-list-{n}")["id"]) for n in range(3)]
    found: list[str] = []
    path = "/v1/operations?kind=tenant.create&phase=succeeded&limit=2"
    while path:
        page = region.api("GET", path).json()
        assert len(page["items"]) <= 2
        assert all(item["kind"] == "tenant.create" and item["phase"] == "succeeded" for item in page["items"])
        found += [item["id"] for item in page["items"]]
        path = page.get("next")
    assert len(found) == len(set(found))
    assert [i for i in found if i in {m["id"] for m in made}] == [m["id"] for m in reversed(made)]
    own = region.api("GET", "/v1/operations?tenant=op-list-1").json()["items"]
    assert [item["tenant"] for item in own] == ["op-list-1"]


@pytest.mark.parametrize("query", [
    "phase=done", "limit=0", "limit=1001", "limit=x", "after=-1", "after=x", "cursor=1", "parent=7", "kind=A", "kind=", "tenant=A", "phase=failed&phase=queued",
])
def test_a_bad_parameter_is_named(region: Region, query: str):
    """400 with a pointer to the parameter."""
    answer = region.api("GET", "/v1/operations?" + query)
    assert answer.status == 400, answer
    assert f"query:{query.split('=')[0]}" in answer.text


def test_what_is_no_operation_is_not_found(region: Region):
    """Well-formed or not; a bad Last-Event-ID is named."""
    for identity in (str(uuid.uuid4()), "7", "x'y", "ABCDEF00-0000-4000-8000-000000000000"):
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
            assert region.api(method, f"/v1/operations/{identity}{path}").status == 404
    operation = ask(region, "op-last")["id"]
    assert region.api("GET", f"/v1/operations/{operation}/events", **{"Last-Event-ID": "x"}).status == 400


def test_a_system_client_sees_no_operations(region: Region, h1):
    """403 for the list and for every operation, also its own tenant's."""
    operation = region.api("GET", "/v1/operations?tenant=h1").json()["items"][0]["id"]
    headers = {"Authorization": f"Bearer {h1.token}", "Idempotency-Key": str(uuid.uuid4())}
    for method, path in (("GET", ""), ("GET", f"/{operation}"), ("GET", f"/{operation}/events"), ("POST", f"/{operation}/cancel")):
        assert region.web.request(method, f"/v1/operations{path}", None, headers).status == 403, path
        assert region.web.request(method, f"/v1/operations{path}").status == 401, path


def test_a_tenants_administrator_sees_its_tenants_operations_only(region: Region, control: Control, new_tenant):
    """Listed, shown, watched; another's and the region's are not there, in the same words as what was never there."""
    mine, other = new_tenant().name, new_tenant().name
    own = region.api("GET", f"/v1/operations?tenant={mine}").json()["items"][0]["id"]
    foreign = region.api("GET", f"/v1/operations?tenant={other}").json()["items"][0]["id"]
    token = administrator(region, mine)
    for query in ("", f"?tenant={mine}", "?kind=tenant.create"):
        listed = call(region, token, "GET", "/v1/operations" + query).json()["items"]
        assert own in [o["id"] for o in listed] and {o["tenant"] for o in listed} == {mine}, listed
    assert call(region, token, "GET", f"/v1/operations?tenant={other}").json()["items"] == []
    assert call(region, token, "GET", f"/v1/operations/{own}").json() == control.operation(own)
    seen = list(events(region, f"/v1/operations/{own}/events", str(token)))
    assert seen[-1][1] == "end" and seen[-1][2]["phase"] == "succeeded"
    # What is done with the tenant as a whole is the region's to stop.
    assert call(region, token, "POST", f"/v1/operations/{own}/cancel").status == 403
    never = str(uuid.uuid4())
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        answer = call(region, token, method, f"/v1/operations/{foreign}{path}")
        nothing = call(region, token, method, f"/v1/operations/{never}{path}")
        assert (answer.status, nothing.status) == (404, 404), (method, path, answer)
        assert {**answer.json(), "requestId": ""} == {**nothing.json(), "requestId": ""}, answer
    assert call(region, token, "POST", "/v1/operations", {"kind": "apply"}).status in (400, 403)


def test_an_applys_progress_can_be_watched(region: Region, control: Control, tmp_path):
    """While its parts stand still half-way, `operation watch` shows percents between the ends; they only grow."""
    for number in range(3):
        (tmp_path / f"op-part-{number}.yaml").write_text(
            f"id: op-part-{number}\nkind: clinic\nname: Part\ntimeZone: UTC\nlanguage: en\n")
    applying = threading.Thread(target=lambda: region.run("apply", "-f", str(tmp_path), "--yes"))
    watched: list[dict] = []

    def watch(identity: str) -> None:
        lines = region.run("operation", "watch", identity, "-o", "json").stdout.splitlines()
        watched.extend(json.loads(line) for line in lines)
    running = lambda: region.api("GET", "/v1/operations?kind=apply&phase=running").json()["items"]
    with control.busy_template():
        applying.start()
        assert until(lambda: any(0 < o["percent"] < 100 for o in running()), 20), running()
        (operation,) = running()
        watching = threading.Thread(target=watch, args=(operation["id"],))
        watching.start()
        time.sleep(1)
    for thread in (watching, applying):
        thread.join(60)
    percents = [o["percent"] for o in watched]
    assert percents == sorted(percents) and percents[-1] == 100, percents
    assert any(0 < percent < 100 for percent in percents), percents
    assert watched[-1]["kind"] == "apply" and watched[-1]["phase"] == "succeeded"
    parts = region.api("GET", f"/v1/operations?parent={operation['id']}").json()["items"]
    assert sorted(p["subject"] for p in parts) == [f"op-part-{n}" for n in range(3)]


def test_a_cancelled_tenant_leaves_nothing_and_its_name_is_free(region: Region, control: Control):
    """While it runs; then it is too late."""
    with control.busy_template():
        operation = ask(region, "op-cancelled")["id"]
        assert until(lambda: control.operation(operation)["step"] == "create-database", 20)
        answer = region.api("POST", f"/v1/operations/{operation}/cancel")
        assert answer.status == 202, answer
        assert control.ended(operation)["phase"] == "cancelled"
    assert region.api("GET", "/v1/tenants/op-cancelled").status == 404
    assert until(lambda: control.orphans() == [], 30), control.orphans()
    late = region.api("POST", f"/v1/operations/{operation}/cancel")
    assert late.status == 409 and late.json()["code"] == "too-late", late
    assert control.ended(ask(region, "op-cancelled")["id"])["phase"] == "succeeded"


def test_a_tenant_that_is_being_made_can_be_removed(region: Region, control: Control):
    """What makes it is taken back, then the removal runs."""
    with control.busy_template():
        making = ask(region, "op-regretted")["id"]
        assert until(lambda: control.operation(making)["step"] == "create-database", 20)
        removal = region.api("DELETE", "/v1/tenants/op-regretted").json()["id"]
        assert control.ended(making)["phase"] == "cancelled"
        assert control.ended(removal)["phase"] == "succeeded"
    assert region.api("GET", "/v1/tenants/op-regretted").status == 404
    assert until(lambda: control.orphans() == [], 30), control.orphans()


def test_a_failed_tenant_says_why_and_is_made_again(region: Region, control: Control):
    """Past its deadline it is undone, the tenant's row says failed; asked for again it becomes ready."""
    with control.busy_template():
        operation = ask(region, "op-failed")["id"]
        assert until(lambda: control.operation(operation)["step"] == "create-database", 20)
        control.sql(f"update control.operation set deadline = now(), term = 0 where id = '{operation}'")
        # A leader reads the deadline when it takes the operation up: the next one does.
        region_controller = control.controllers()[0]
        import os
        import signal
        os.kill(region_controller, signal.SIGKILL)
        ended = control.ended(operation, 40)
        assert ended["phase"] == "failed" and ended["error"]["code"] == "deadline-exceeded"
    tenant = region.api("GET", "/v1/tenants/op-failed").json()
    assert tenant["state"] == "failed" and "deadline" in tenant["error"]
    assert until(lambda: control.orphans() == [], 30), control.orphans()
    region.wait_ready()
    assert control.ended(ask(region, "op-failed")["id"])["phase"] == "succeeded"
    assert region.api("GET", "/v1/tenants/op-failed").json()["state"] == "ready"


def test_a_partner_has_no_fhir_base(region: Region, control: Control):
    """The same 404 as for a tenant that does not exist; its token endpoint is there."""
    answer = region.api("POST", "/v1/tenants", {**tenant_body("op-partner"), "kind": "partner", "labels": {"city": "1"}})
    control.ended(answer.json()["id"])
    tenant = region.api("GET", "/v1/tenants/op-partner").json()
    assert tenant["kind"] == "partner" and tenant["labels"] == {"city": "1"} and "fhirBase" not in tenant
    for path in ("metadata", ".well-known/smart-configuration"):
        assert region.web.request("GET", f"/t/op-partner/fhir/{path}").status == 404
        assert region.web.request("GET", f"/t/h-nobody/fhir/{path}").status == 404
    assert region.web.request("GET", "/t/op-partner/oauth2/jwks").status == 200


@pytest.mark.parametrize("change", [
    {"kind": "shop"}, {"kind": 7}, {"labels": []}, {"labels": {"A": "x"}}, {"labels": {"a": 1}}, {"labels": {"a": "x y"}},
    {"labels": {f"k{n}": "x" for n in range(33)}},
])
def test_bad_kinds_and_labels_are_refused(region: Region, change: dict):
    """With the member named."""
    answer = region.api("POST", "/v1/tenants", {**tenant_body("op-bad"), **change})
    assert answer.status == 400 and next(iter(change)) in answer.text, answer
    assert region.api("GET", "/v1/tenants/op-bad").status == 404


def test_many_watchers_share_one_connection_to_the_control_database(region: Region, control: Control):
    """60 streams of one operation: the workers' connections do not grow with them, and all see the end."""
    with control.busy_template():
        operation = ask(region, "op-many")["id"]
        assert until(lambda: control.operation(operation)["step"] == "create-database", 20)
        ends: list[str] = []
        token = str(region.operator_token)

        def watch() -> None:
            for _, name, data in events(region, f"/v1/operations/{operation}/events", token, seconds=60):
                if name == "end":
                    ends.append(data["phase"])
        threads = [threading.Thread(target=watch) for _ in range(60)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        count = "select count(*) from pg_stat_activity where usename = 'medcloud_gateway' and datname = 'control'"
        assert int(control.sql(count)) <= 24
        # A client that goes away is forgotten, and nobody else notices.
        gone = socket.create_connection(("127.0.0.1", region.port))
        gone.sendall(f"GET /v1/operations/{operation}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert b"text/event-stream" in gone.recv(4096)
        gone.close()
    for thread in threads:
        thread.join(60)
    assert ends == ["succeeded"] * 60


def test_the_command_line_lists_shows_watches_and_cancels(region: Region, control: Control):
    """-o json is the data model; exit codes say how it ended."""
    operation = ask(region, "op-cli")["id"]
    watched = region.run("operation", "watch", operation, "-o", "json")
    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    assert lines[-1]["phase"] == "succeeded" and all(line["id"] == operation for line in lines)
    plain = region.run("operation", "watch", operation)
    assert "succeeded" in plain.stderr and operation in plain.stdout
    listed = json.loads(region.run("operation", "list", "--tenant", "op-cli", "-o", "json").stdout)
    assert [item["id"] for item in listed] == [operation]
    assert json.loads(region.run("operation", "show", operation, "-o", "json").stdout)["kind"] == "tenant.create"
    late = region.run("operation", "cancel", operation, check=False)
    assert late.returncode == 4 and "too-late" in late.stderr
    missing = region.run("operation", "show", str(uuid.uuid4()), check=False)
    assert missing.returncode == 3
    with control.busy_template():
        other = ask(region, "op-cli-2")["id"]
        assert until(lambda: control.operation(other)["step"] == "create-database", 20)
        region.run("operation", "cancel", other)
        cancelled = region.run("operation", "watch", other, check=False)
        assert cancelled.returncode == 4, cancelled
    made = region.run("tenant", "create", "op-cli-3", "--name", "Clinic", "--time-zone", "UTC", "--language", "en",
                      "--kind", "clinic", "--label", "ward=3", "-o", "json")
    assert json.loads(made.stdout)["kind"] == "clinic"
    assert "create-database" in made.stderr
    region.run("tenant", "delete", "op-cli-3", "--yes")
    assert region.api("GET", "/v1/tenants/op-cli-3").status == 404
