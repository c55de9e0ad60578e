"""fhirpy and fhirclient, unmodified, with a private_key_jwt token out of a client's key file."""

import json
import sys
import time
import urllib.parse
import urllib.request
import uuid

import jwt
from fhirclient.client import FHIRClient
from fhirclient.models.humanname import HumanName
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient


def access_token(profile: dict) -> str:
    """SMART Backend Services: a signed assertion against an access token."""
    now = int(time.time())
    assertion = jwt.encode(
        {"iss": profile["clientID"], "sub": profile["clientID"], "aud": profile["tokenURL"],
         "iat": now, "exp": now + 240, "jti": str(uuid.uuid4())},
        jwt.PyJWK.from_dict(profile["privateKey"]).key, algorithm="ES384",
        headers={"kid": profile["privateKey"]["kid"]})
    form = urllib.parse.urlencode({
        "grant_type": "client_credentials", "scope": profile["scope"], "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"})
    with urllib.request.urlopen(profile["tokenURL"], form.encode()) as answer:
        return json.load(answer)["access_token"]


def with_fhirpy(base: str, token: str) -> None:
    client = SyncFHIRClient(base, authorization=f"Bearer {token}")
    patient = client.resource("Patient", name=[{"family": "Fhirpy"}], birthDate="1970-01-01")
    patient.save()
    found = client.resources("Patient").search(family="Fhirpy").fetch_all()
    assert [p.id for p in found] == [patient.id], found
    patient["gender"] = "female"
    patient.save()
    assert client.reference("Patient", patient.id).to_resource()["gender"] == "female"
    patient.delete()
    assert client.resources("Patient").search(family="Fhirpy").fetch_all() == []


def with_fhirclient(base: str, token: str) -> None:
    smart = FHIRClient(settings={"app_id": "first-hour", "api_base": base})
    smart.server.session.headers["Authorization"] = f"Bearer {token}"
    patient = Patient({"name": [{"family": "Fhirclient"}]})
    created = patient.create(smart.server)
    read = Patient.read(created["id"], smart.server)
    assert read.name[0].family == "Fhirclient"
    read.name = [HumanName({"family": "Changed"})]
    read.update(smart.server)
    found = Patient.where({"family": "Changed"}).perform_resources(smart.server)
    assert [p.id for p in found] == [created["id"]], found
    read.delete()


with open(sys.argv[1], encoding="utf-8") as file:
    key_file = json.load(file)
bearer = access_token(key_file)
with_fhirpy(key_file["fhirBase"], bearer)
print("    fhirpy: create, search, update, read, delete", file=sys.stderr)
with_fhirclient(key_file["fhirBase"], bearer)
print("    fhirclient: create, read, update, search, delete", file=sys.stderr)
