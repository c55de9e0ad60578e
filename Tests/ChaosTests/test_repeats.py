"""A worker is killed between what a write of the platform API has begun and the record of its answer: the same request gets
what it has begun.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from blackbox.control import Answered, Control, tenant_body
from blackbox.region import Region, until

MIB = 1 << 20
TENANT = "/v1/tenants/c1"
KEYS = {"keys": [{
    name: value for name, value in json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()))).items() if name != "d"
} | {"kid": "one", "alg": "ES384", "use": "sig"}]}


@pytest.fixture(scope="module")
def control():
    """A region whose machines are simulated, with one tenant, network and machine."""
    region = Region("--hypervisor", "test:///default")
    plane = Control(region)
    try:
        region.start()
        region.create_tenant("c1")
        quota = {"instances": 9, "running": 9, "vcpus": 9, "memory": 4096 * MIB, "storage": 4096 * MIB, "networks": 4}
        assert region.api("PUT", f"{TENANT}/quota", quota).status == 200
        assert until(lambda: region.api("GET", "/v1/images").json()["items"], 30)
        for name, cidr in (("lan", "10.71.1.0/24"), ("spare", "10.71.2.0/24")):
            plane.ended(region.api("POST", f"{TENANT}/networks", {"name": name, "cidr": cidr}).json()["id"])
        for name in ("one", "two", "three"):
            plane.ended(region.api("POST", f"{TENANT}/instances", machine(name)).json()["id"])
        plane.ended(region.api("POST", "/v1/tenants", tenant_body("leaving")).json()["id"])
        leaving = {"id": "c1-leaving", "name": "Leaving", "kind": "system", "scope": "system/*.rs", "jwks": KEYS}
        assert region.api("POST", f"{TENANT}/clients", leaving).status == 201
        yield plane
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()


def machine(name: str, **changes) -> dict:
    """A specification that is good as it is."""
    return {"name": name, "image": "probe", "vcpus": 1, "memory": 128 * MIB, "disk": 16 * MIB, "network": "lan", **changes}


def apply_body(control: Control, tmp_path) -> dict:
    """What `medcloud apply` sends for one new tenant."""
    (tmp_path / "applied.yaml").write_text(
        "id: applied\nkind: clinic\nname: Applied\ntimeZone: UTC\nlanguage: en\nclients:\n  - {id: applied-app, scopes: system/*.rs, keys: {jwks: "
        + json.dumps(KEYS) + "}}\n")
    plan = tmp_path / "plan.json"
    assert control.region.run("plan", "-f", str(tmp_path), "-o", str(plan), check=False).returncode in (0, 2)
    kept = json.loads(plan.read_text())
    return {"kind": "apply", "specifications": kept["specifications"], "planHash": kept["hash"], "revision": kept["revision"]}


#: An apply is the first: nothing may change between its plan and it.
WRITES = {
    "apply": ("POST", "/v1/operations", apply_body),
    "create an instance": ("POST", f"{TENANT}/instances", machine("new")),
    "stop an instance": ("POST", f"{TENANT}/instances/one/stop", None),
    "update an instance": ("PUT", f"{TENANT}/instances/two", machine("two", vcpus=2)),
    "delete an instance": ("DELETE", f"{TENANT}/instances/three", None),
    "create a network": ("POST", f"{TENANT}/networks", {"name": "next", "cidr": "10.71.3.0/24"}),
    "delete a network": ("DELETE", f"{TENANT}/networks/spare", None),
    "create a tenant": ("POST", "/v1/tenants", tenant_body("coming")),
    "delete a tenant": ("DELETE", "/v1/tenants/leaving", None),
    "create a client": ("POST", f"{TENANT}/clients", {
        "id": "c1-app", "name": "App", "kind": "system", "scope": "system/*.rs", "jwks": KEYS}),
    "set a quota": ("PUT", f"{TENANT}/quota", {
        "instances": 8, "running": 8, "vcpus": 9, "memory": 4096 * MIB, "storage": 4096 * MIB, "networks": 4}),
    "disable a client": ("DELETE", f"{TENANT}/clients/c1-leaving", None),
}
#: What begins nothing, the status of its answer, and what is noted of it.
ACTIONS = {
    "set a quota": (200, "action quota.set"), "disable a client": (204, "action client.disable"),
    "cancel an operation": (202, "action operation.cancel"),
}


def send(region: Region, method: str, path: str, body: dict | None, key: str) -> None:
    """A request that dies with its worker."""
    headers = {"Authorization": f"Bearer {region.operator_token}", "Idempotency-Key": key}
    if body is not None:
        headers["Content-Type"] = "application/json"
    with contextlib.suppress(OSError, http.client.HTTPException):
        region.web.request(method, path, json.dumps(body) if body is not None else None, headers)


def killed_before_it_answers(control: Control, writes: dict[str, tuple]) -> None:
    """Every worker, once it has done these writes and is about to keep their answers."""
    region = control.region
    with control.held_at(*[Answered(key) for key in writes]) as hold:
        threads = [threading.Thread(target=send, args=(region, *write, key)) for key, write in writes.items()]
        for count, thread in enumerate(threads, 1):
            # One after the other: the plan of an apply is of no use once something else has changed.
            thread.start()
            hold.wait(count)
        for pid in region.workers():
            os.kill(pid, signal.SIGKILL)
        hold.let_go(keeps_record=False)
        for thread in threads:
            thread.join(30)
    region.wait_ready()


def test_the_same_request_after_a_crash_gets_what_it_did(control: Control, tmp_path):
    """Its operation or its client or its effect, at once, and from then on the same bytes; it is done once."""
    region = control.region
    # As long as somebody is in the template, no tenant is made: one whose making can be cancelled.
    with control.busy_template():
        stuck = region.api("POST", "/v1/tenants", tenant_body("stuck")).json()["id"]
        writes = {name: (method, path, body(control, tmp_path) if callable(body) else body) for name, (method, path, body) in WRITES.items()}
        writes["cancel an operation"] = ("POST", f"/v1/operations/{stuck}/cancel", None)
        keys = {name: str(uuid.uuid4()) for name in writes}
        before = int(control.sql("select count(*) from control.operation where parent is null"))
        # A worker has eight connections to the control database, and one may get all of these requests.
        for names in (list(writes)[:7], list(writes)[7:]):
            killed_before_it_answers(control, {keys[name]: writes[name] for name in names})
    # It is not done a second time: what others set since stays.
    assert region.api("PUT", f"{TENANT}/quota", {**writes["set a quota"][2], "instances": 7}).status == 200
    for name, (method, path, body) in writes.items():
        key = keys[name]
        effect = control.sql(f"select effect from control.idempotency where key = '{key}'")
        again = region.api(method, path, body, **{"Idempotency-Key": key})
        if name in ACTIONS:
            assert (again.status, effect) == ACTIONS[name], again
        elif name == "create a client":
            assert (again.status, again.json()["id"], effect) == (201, "c1-app", "client c1-app"), again
        else:
            assert again.status == 202, (name, again)
            assert effect == f"operation {again.json()['id']}"
            assert again.headers["Location"] == f"/v1/operations/{again.json()['id']}"
            assert control.ended(again.json()["id"])["phase"] == "succeeded", name
        third = region.api(method, path, body, **{"Idempotency-Key": key})
        assert (third.status, third.body, third.headers.get("Location")) == (again.status, again.body, again.headers.get("Location")), name
        if body:
            assert region.api(method, path, {**body, "name": "other"}, **{"Idempotency-Key": key}).status in (400, 422), name
    assert control.ended(stuck)["phase"] == "cancelled"
    assert region.api("GET", f"{TENANT}/quota").json()["instances"]["limit"] == 7
    assert region.api("GET", f"{TENANT}/clients/c1-leaving").json()["isDisabled"] is True
    assert int(control.sql("select count(*) from control.operation where parent is null")) == before + len(writes) - len(ACTIONS) - 1


def test_a_worker_that_comes_late_does_nothing(control: Control):
    """It has begun its request, stood still for longer than a minute, and another one has done it meanwhile."""
    key = str(uuid.uuid4())
    region = control.region
    done = region.api("POST", f"{TENANT}/instances", machine("late"), **{"Idempotency-Key": key})
    assert done.status == 202
    operation = f"POST {TENANT}/instances"
    late = control.sql(
        "begin; select set_config('control.request', json_build_array('region', actor, operation, key)::text, true) from control.idempotency"
        f" where key = '{key}' and operation = '{operation}';"
        " set local control.acting = 'region';"
        " do $$ begin perform control.begin_operation('x', 'instance.create', 'c1', 'x', '{}', null, null, null); raise 'it was begun again';"
        " exception when sqlstate 'MC409' then null; end $$; rollback; select 'refused'")
    assert late.splitlines()[-1] == "refused"
