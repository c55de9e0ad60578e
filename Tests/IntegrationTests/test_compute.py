"""Instances, networks and quotas over the platform API and the CLI, on libvirt's test hypervisor: no guest runs."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.administrator import administrator, call
from blackbox.region import Region, until

MIB = 1 << 20
QUOTA = {"instances": 10, "running": 10, "vcpus": 40, "memory": 10 << 30, "storage": 100 << 30, "networks": 4}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJ"


@pytest.fixture(scope="module")
def cloud():
    """A region whose machines are simulated, with two tenants that may have some."""
    running = Region("--hypervisor", "test:///default")
    try:
        running.start()
        for name in ("c1", "c2"):
            running.create_tenant(name)
            assert running.api("PUT", f"/v1/tenants/{name}/quota", QUOTA).status == 200
        assert until(lambda: running.api("GET", "/v1/images").json()["items"], 30)
        for name, cidr in (("c1", "10.50.1.0/24"), ("c2", "10.50.2.0/24")):
            finish(running, running.api("POST", f"/v1/tenants/{name}/networks", {"name": "lan", "cidr": cidr}))
        yield running
        assert not running.crashes()
    finally:
        running.stop()
        running.remove()


def instance(name: str, **changes) -> dict:
    """A specification that is good as it is."""
    return {"name": name, "image": "probe", "vcpus": 1, "memory": 128 * MIB, "disk": 16 * MIB, "network": "lan", **changes}


def ended(region: Region, answer) -> dict:
    """The operation that an answer names, once it has ended."""
    assert answer.status == 202, answer
    location = answer.headers["Location"]
    assert location == f"/v1/operations/{answer.json()['id']}"
    last: dict = {}

    def is_over() -> bool:
        last.update(region.api("GET", location).json())
        return last["phase"] in ("succeeded", "failed", "cancelled")

    assert until(is_over, 60), last
    return last


def finish(region: Region, answer) -> dict:
    """The same, which must have succeeded."""
    operation = ended(region, answer)
    assert operation["phase"] == "succeeded", operation
    return operation


def used(region: Region, tenant: str) -> dict[str, int]:
    """What is taken of the quota."""
    return {name: one["used"] for name, one in region.api("GET", f"/v1/tenants/{tenant}/quota").json().items()}


def test_64_at_once_get_what_there_is_room_for(cloud):
    """Exactly 10 are accepted, 54 refused with what remains; deleted, nothing is held any more."""
    path = "/v1/tenants/c1/instances"
    before = used(cloud, "c1")
    str(cloud.operator_token)
    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(lambda n: cloud.api("POST", path, instance(f"m{n}")), range(64)))
    accepted = [a for a in answers if a.status == 202]
    refused = [a for a in answers if a.status == 409]
    assert (len(accepted), len(refused)) == (10, 54), {a.status for a in answers}
    for answer in refused:
        problem = answer.json()
        assert problem["code"] == "quota-exceeded"
        assert (problem["dimension"], problem["limit"], problem["used"], problem["requested"], problem["remaining"]) == ("instances", 10, 10, 1, 0)
    for answer in accepted:
        finish(cloud, answer)
    listed = cloud.api("GET", path).json()["items"]
    assert len(listed) == 10 and all(i["status"]["state"] == "running" and i["status"]["ready"] for i in listed)
    assert len({i["status"]["address"] for i in listed}) == 10
    assert len({i["status"]["macAddress"] for i in listed}) == 10
    for answer in [cloud.api("DELETE", f"{path}/{i['name']}") for i in listed]:
        finish(cloud, answer)
    assert used(cloud, "c1") == before
    assert cloud.api("GET", "/v1/drift").json()["items"] == []


def test_a_life(cloud):
    """Made, stopped, started, changed, deleted; the same key gives the same answer; illegal transitions say what is legal."""
    path = "/v1/tenants/c1/instances"
    key = str(uuid.uuid4())
    first = cloud.api("POST", path, instance("web", sshKeys=[KEY], probe={"http": {"port": 80, "path": "/up"}}), **{"Idempotency-Key": key})
    again = cloud.api("POST", path, instance("web", sshKeys=[KEY], probe={"http": {"port": 80, "path": "/up"}}), **{"Idempotency-Key": key})
    assert (again.status, again.body) == (first.status, first.body)
    assert cloud.api("POST", path, instance("other"), **{"Idempotency-Key": key}).status == 422
    finish(cloud, first)
    assert cloud.api("POST", path, instance("web")).json()["code"] == "conflict"
    shown = cloud.api("GET", f"{path}/web").json()
    assert shown["status"]["state"] == "running" and shown["status"]["ready"] is True
    assert shown["spec"]["sshKeys"] == [KEY] and shown["spec"]["running"] is True
    wrong = cloud.api("POST", f"{path}/web/start")
    assert wrong.status == 422, wrong
    assert (wrong.json()["code"], wrong.json()["from"], wrong.json()["to"]) == ("illegal-transition", "running", "starting")
    assert wrong.json()["allowed"] == ["stopping", "rebooting", "updating", "deleting"]
    finish(cloud, cloud.api("POST", f"{path}/web/stop"))
    assert used(cloud, "c1")["running"] == 0 and used(cloud, "c1")["instances"] == 1
    finish(cloud, cloud.api("POST", f"{path}/web/start"))
    finish(cloud, cloud.api("POST", f"{path}/web/reboot"))
    larger = {**shown["spec"], "memory": 256 * MIB, "vcpus": 2}
    finish(cloud, cloud.api("PUT", f"{path}/web", larger))
    assert cloud.api("PUT", f"{path}/web", larger).status == 200
    changed = cloud.api("GET", f"{path}/web").json()
    assert changed["spec"]["memory"] == 256 * MIB
    for same in ("address", "macAddress"):
        assert changed["status"][same] == shown["status"][same]
    assert changed["id"] == shown["id"]
    in_use = cloud.api("DELETE", "/v1/tenants/c1/networks/lan")
    assert in_use.status == 409 and "web" in in_use.json()["detail"], in_use
    tenant_in_use = cloud.api("DELETE", "/v1/tenants/c1")
    assert tenant_in_use.status == 409, tenant_in_use
    finish(cloud, cloud.api("DELETE", f"{path}/web"))
    assert cloud.api("GET", f"{path}/web").status == 404
    usage = cloud.api("GET", "/v1/tenants/c1/usage").json()
    one = next(i for i in usage["items"] if i["instance"] == shown["id"])
    assert [i["reason"] for i in one["intervals"]][:2] == ["created", "started"]
    for earlier, later in zip(one["intervals"], one["intervals"][1:]):
        assert earlier["to"] == later["from"]
    assert one["seconds"] >= one["runningSeconds"] > 0


@pytest.mark.parametrize(("body", "pointer"), [
    (instance("Upper"), "/name"), (instance("x" * 32), "/name"), (instance("a/../b"), "/name"), (instance("a';--"), "/name"),
    (instance("a", vcpus=0), "/vcpus"), (instance("a", vcpus="1"), "/vcpus"), (instance("a", memory="512MiB"), "/memory"),
    (instance("a", memory=128 * MIB + 1), "/memory"), (instance("a", disk=1), "/disk"), (instance("a", image="no-such"), "/image"),
    (instance("a", network="none"), "/network"), (instance("a", color="red"), "/color"),
    (instance("a", sshKeys=["no key"]), "/sshKeys"), (instance("a", sshKeys=[f'command="x" {KEY}']), "/sshKeys"),
    (instance("a", sshKeys=[KEY + "\n" + KEY]), "/sshKeys"), (instance("a", probe={"udp": {}}), "/probe"),
    (instance("a", probeDeadline=-1), "/probeDeadline"), (instance("a", running=1), "/running"),
])
def test_bad_instances(cloud, body: dict, pointer: str):
    """The field and its rule; nothing is taken."""
    before = used(cloud, "c1")
    answer = cloud.api("POST", "/v1/tenants/c1/instances", body)
    assert answer.status == 400, answer
    problem = answer.json()
    assert problem["code"] == "invalid-input"
    assert [e["pointer"] for e in problem["errors"]] == [pointer] and problem["errors"][0]["detail"]
    assert used(cloud, "c1") == before


@pytest.mark.parametrize("text", ['{"name":"a","name":"b"}', "[]", '{"vcpus": 1e999999}', "{", '{"name": "\\u0000"}', ""])
def test_bad_json(cloud, text: str):
    """Never a 500."""
    answer = cloud.web.request("POST", "/v1/tenants/c1/instances", text, {
        "Authorization": f"Bearer {cloud.operator_token}", "Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"})
    assert answer.status == 400, answer


def test_bad_requests(cloud):
    """Unknown parameters, no key, no body type, names that nothing has, ranges that are taken or no private ones."""
    path = "/v1/tenants/c1"
    assert cloud.api("GET", f"{path}/instances?color=red").json()["code"] == "unknown-parameter"
    assert cloud.api("GET", f"{path}/usage?from=yesterday").status == 400
    assert cloud.api("GET", f"{path}/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z").status == 400
    for name in ("UPPER", "a%2Fb", "nothing", "x" * 40):
        assert cloud.api("GET", f"{path}/instances/{name}").status in (400, 404)
        assert cloud.api("DELETE", f"{path}/networks/{name}").status in (400, 404)
    headers = {"Authorization": f"Bearer {cloud.operator_token}", "Content-Type": "application/json"}
    assert cloud.web.request("POST", f"{path}/instances", json.dumps(instance("a")), headers).json()["code"] == "idempotency-key-required"
    for cidr in ("10.50.1.0/25", "10.0.0.0/8", "8.8.8.0/24", "10.60.0.1/24", "fd00::/64", "127.0.0.0/16", 7, None):
        answer = cloud.api("POST", f"{path}/networks", {"name": "next", "cidr": cidr})
        assert answer.status in (400, 409), answer
    stranger = cloud.api("POST", f"{path}/networks", {"name": "next", "cidr": "10.50.2.0/25"})
    # The id of a request is random, and may hold any two letters.
    told = json.dumps({name: value for name, value in stranger.json().items() if name != "requestId"})
    assert stranger.status == 409 and "c2" not in told and "lan" not in told, stranger
    below = cloud.api("PUT", f"{path}/quota", {**QUOTA, "networks": 0})
    assert below.status == 400 and below.json()["errors"][0]["pointer"] == "/networks", below
    assert cloud.api("PUT", f"{path}/quota", {**QUOTA, "gpus": 1}).status == 400
    for name, most in (("instances", 10_000), ("vcpus", 100_000), ("memory", 1 << 50), ("storage", 1 << 55)):
        # What a manifest may not ask for, nobody may.
        above = cloud.api("PUT", f"{path}/quota", {**QUOTA, name: most + 1})
        assert above.status == 400 and above.json()["errors"][0]["pointer"] == f"/{name}", above
        assert str(most) in above.json()["errors"][0]["detail"], above


def test_lists_are_paged(cloud):
    """Each item once, by name, whatever the size of a page; the command line reads all pages."""
    path = "/v1/tenants/c2"
    names = [f"page-{n}" for n in range(3)]
    finish(cloud, cloud.api("POST", f"{path}/networks", {"name": "pages", "cidr": "10.50.9.0/24"}))
    for answer in [cloud.api("POST", f"{path}/instances", instance(name, network="pages", running=False)) for name in names]:
        finish(cloud, answer)

    def read(where: str, limit: int) -> list[str]:
        found: list[str] = []
        following = f"{where}?limit={limit}"
        while following:
            page = cloud.api("GET", following).json()
            assert len(page["items"]) <= limit
            found += [item["name"] for item in page["items"]]
            following = page.get("next")
        return found
    for limit in (1, 2, 3, 1000):
        assert read(f"{path}/instances", limit) == names
        assert read(f"{path}/networks", limit) == ["lan", "pages"]
        assert read("/v1/images", limit) == ["probe"]
        assert read("/v1/drift", limit) == []
        used = read(f"{path}/usage", limit)
        assert used == sorted(used) and [name for name in used if name in names] == names
    for where in (f"{path}/instances", f"{path}/networks", "/v1/images", "/v1/drift", f"{path}/usage"):
        for bad in ("limit=0", "limit=1001", "after=x", "page=2", "limit=1&limit=2"):
            answer = cloud.api("GET", f"{where}?{bad}")
            assert answer.status == 400, (where, bad, answer)
    other = cloud.api("GET", f"{path}/instances?limit=1").json()["next"].split("after=")[1]
    assert cloud.api("GET", f"{path}/networks?after={other}").status == 400
    assert cloud.run("instance", "list", "--tenant", "c2", "-o", "name").stdout.split() == names
    # A page is of the time that the one before it was of.
    whole = cloud.api("GET", f"{path}/usage").json()
    first = cloud.api("GET", f"{path}/usage?limit=1").json()
    second = cloud.api("GET", first["next"]).json()
    assert (second["from"], second["to"]) == (first["from"], first["to"])
    assert second["items"][0]["instance"] == whole["items"][1]["instance"]
    told = json.loads(cloud.run("usage", "--tenant", "c2", "-o", "json").stdout)
    assert [one["instance"] for one in told["items"]] == [one["instance"] for one in whole["items"]] and "next" not in told
    for name in names:
        finish(cloud, cloud.api("DELETE", f"{path}/instances/{name}"))
    finish(cloud, cloud.api("DELETE", f"{path}/networks/pages"))


def test_who_may(cloud):
    """The administrator its own tenant's, but no quota; another's looks like nothing; a hospital's system nothing at all."""
    own, other = administrator(cloud, "c1"), administrator(cloud, "c2")
    system = cloud.tenant("c1").token
    path = "/v1/tenants/c1"
    finish(cloud, call(cloud, own, "POST", f"{path}/instances", instance("mine")))
    assert call(cloud, own, "GET", f"{path}/quota").status == 200
    assert call(cloud, own, "PUT", f"{path}/quota", QUOTA).status == 403
    assert call(cloud, own, "GET", "/v1/images").status == 200
    reads = [f"{path}/instances", f"{path}/instances/mine", f"{path}/instances/mine/console", f"{path}/networks",
             f"{path}/networks/lan", f"{path}/quota", f"{path}/usage"]
    writes = [("POST", f"{path}/instances", instance("theirs")), ("PUT", f"{path}/instances/mine", instance("mine", vcpus=2)),
              ("DELETE", f"{path}/instances/mine", None), ("POST", f"{path}/instances/mine/stop", None),
              ("POST", f"{path}/instances/mine/reboot", None), ("POST", f"{path}/networks", {"name": "x", "cidr": "10.77.0.0/24"}),
              ("DELETE", f"{path}/networks/lan", None), ("PUT", f"{path}/quota", QUOTA)]
    nothing = call(cloud, other, "GET", "/v1/tenants/no-such/instances")
    assert nothing.status == 404
    for method, where, body in [("GET", r, None) for r in reads] + writes:
        foreign = call(cloud, other, method, where, body)
        assert foreign.status == 404 and foreign.json()["code"] == nothing.json()["code"], (where, foreign)
        assert call(cloud, system, method, where, body).status == 403, where
        assert cloud.web.request(method, where).status == 401, where
    assert call(cloud, other, "GET", "/v1/drift").json()["items"] == []
    assert cloud.api("GET", f"{path}/instances/mine").json()["status"]["state"] == "running"
    finish(cloud, call(cloud, own, "DELETE", f"{path}/instances/mine"))


def test_the_command_line(cloud):
    """Nouns and verbs, one renderer, exit codes."""
    def run(*words: str, code: int = 0):
        result = cloud.run(*words, check=False)
        assert result.returncode == code, f"{words} → {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout
    run("network", "create", "side", "--tenant", "c2", "--cidr", "10.51.0.0/24")
    made = json.loads(run("instance", "create", "cli", "--tenant", "c2", "--image", "probe", "--memory", "128MiB", "--disk", "16MiB", "--network", "side", "-o", "json"))
    assert made["status"]["ready"] is True
    assert "cli" in run("instance", "list", "--tenant", "c2")
    assert run("instance", "list", "--tenant", "c2", "-o", "name").split() == ["cli"]
    run("instance", "stop", "cli", "--tenant", "c2")
    run("instance", "stop", "cli", "--tenant", "c2", code=4)
    run("instance", "start", "cli", "--tenant", "c2")
    run("instance", "reboot", "cli", "--tenant", "c2")
    assert "128MiB" in run("quota", "show", "--tenant", "c2")
    assert json.loads(run("quota", "set", "--tenant", "c2", "--instances", "11", "-o", "json"))["instances"]["limit"] == 11
    run("quota", "set", "--tenant", "c2", "--instances", "10001", code=64)
    nobody = cloud.run("instance", "connect", "nobody", "--tenant", "c2", check=False)
    assert nobody.returncode == 3 and '"nobody"' in nobody.stderr and nobody.stderr.count("\n") == 1, nobody.stderr
    run("network", "delete", "side", "--tenant", "c2", code=4)
    run("instance", "delete", "cli", "--tenant", "c2", code=4)
    run("instance", "delete", "cli", "--tenant", "c2", "--yes")
    run("network", "delete", "side", "--tenant", "c2")
    run("instance", "show", "cli", "--tenant", "c2", code=3)
    run("instance", "create", "x", "--tenant", "c2", "--image", "probe", "--memory", "128", "--disk", "16MiB", "--network", "lan", code=64)
    assert "cli" in run("usage", "--tenant", "c2")
    assert json.loads(run("drift", "-o", "json")) == []


def test_a_tenant_of_an_old_name_has_nothing_of_its_predecessor(cloud):
    """Neither its use nor the answers to its requests; the operator is told of both tenants' use."""
    path, key = "/v1/tenants/again", str(uuid.uuid4())

    def begin():
        """The tenant with a network that its administrator asked for; who that is, and the operation."""
        cloud.create_tenant("again")
        assert cloud.api("PUT", f"{path}/quota", QUOTA).status == 200
        # Tokens of the second in which the predecessor's ended are refused with those.
        assert until(lambda: call(cloud, administrator(cloud, "again"), "GET", path).status == 200, 10)
        token = administrator(cloud, "again")
        asked = call(cloud, token, "POST", f"{path}/networks", {"name": "lan", "cidr": "10.50.9.0/24"}, **{"Idempotency-Key": key})
        finish(cloud, asked)
        return token, asked.json()["id"]

    token, first = begin()
    finish(cloud, call(cloud, token, "POST", f"{path}/instances", instance("old")))
    assert [i["name"] for i in call(cloud, token, "GET", f"{path}/usage").json()["items"]] == ["old"]
    finish(cloud, cloud.api("DELETE", f"{path}/instances/old"))
    finish(cloud, cloud.api("DELETE", f"{path}/networks/lan"))
    cloud.run("tenant", "delete", "again", "--yes")
    assert until(lambda: cloud.api("GET", path).status == 404, 30)

    token, second = begin()
    assert second != first
    finish(cloud, call(cloud, token, "POST", f"{path}/instances", instance("new")))
    assert [i["name"] for i in call(cloud, token, "GET", f"{path}/usage").json()["items"]] == ["new"]
    assert [i["name"] for i in cloud.api("GET", f"{path}/usage").json()["items"]] == ["new", "old"]
