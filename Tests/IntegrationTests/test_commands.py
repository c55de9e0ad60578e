"""The operator's commands from outside: exit codes, the nearest right name, forms of output."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import urllib.parse

import pytest

from blackbox.region import Region, Tenant, binaries

NOBODY = "0b6f2a2e-6c4f-4e0a-9d9e-0d7a9c7f7a10"

#: Arguments, the exit code of docs/operations.md, and words of the one line that says why.
REFUSED = [
    (["tenat", "list"], 64, 'Did you mean "tenant"?'),
    (["tenant", "lst"], 64, 'Did you mean "list"?'),
    (["tenant", "list", "--outptu", "json"], 64, "Did you mean '--output'?"),
    (["tenant", "list", "-o", "tabel"], 64, "'table', 'json', 'yaml' or 'name'"),
    (["tenant", "show", "h12"], 3, 'There is no tenant "h12". Did you mean "h1"?'),
    (["client", "list", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["client", "list"], 64, "--tenant"),
    (["client", "disable", "--tenant", "h1", "h1-sistem"], 3, 'Did you mean "h1-system"?'),
    (["client", "create", "bad id", "--tenant", "h1"], 64, "id must be 1 to 64 letters"),
    (["client", "create", "h1-lab", "--tenant", "h1", "--scope", "all"], 64, "system/Type.cruds"),
    (["token", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["token", "--tenant", "h1", "--client", "h1-sys"], 3, 'Did you mean "h1-system"?'),
    (["token", "--tenant", "h1", "--scope", "all"], 6, "system/Type.cruds"),
    (["operation", "show", NOBODY], 3, f'There is no operation "{NOBODY}"'),
    (["operation", "cancel", "x"], 3, 'There is no operation "x"'),
    (["operation", "watch", NOBODY], 3, f'There is no operation "{NOBODY}"'),
    (["operation", "list", "--phase", "runing"], 64, "- running"),
    (["instance", "list", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["instance", "show", "web", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["instance", "show", "web", "--tenant", "h1"], 3, 'Tenant h1 has no instance "web".'),
    (["instance", "console", "web", "--tenant", "h1"], 4, "no-compute"),
    (["instance", "start", "web", "--tenant", "h1"], 4, "no-compute"),
    (["instance", "delete", "web", "--tenant", "h1", "--yes"], 3, 'Tenant h1 has no instance "web".'),
    (["network", "show", "lan", "--tenant", "h1"], 3, 'Tenant h1 has no network "lan".'),
    (["quota", "show", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["quota", "set", "--tenant", "h1", "--memory", "4GB"], 64, "KiB, MiB, GiB, TiB"),
    (["usage", "--tenant", "h12"], 3, 'Did you mean "h1"?'),
    (["usage", "--tenant", "h1", "--from", "yesterday"], 64, "from"),
    (["feed", "retry", "h12"], 3, 'Did you mean "h1"?'),
    (["image", "build", "debain-12"], 64, 'Did you mean "debian-12"?'),
    (["image", "remove", "nothing"], 3, "no image nothing"),
    (["logs", "gatway-1"], 3, 'Did you mean "gateway-1"?'),
    (["load", "--tenant", "h1", "/nowhere.json"], 3, "/nowhere.json"),
    (["plan", "-f", "/nowhere"], 3, "/nowhere"),
    (["backup", "list", "--sate", "x"], 64, "--state"),
]


@pytest.mark.parametrize("arguments, code, words", REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_is_wrong_is_named_with_the_nearest_right_one(region: Region, h1: Tenant, arguments, code, words):
    """One line that begins with `error:`, after the steps that were done; nothing on standard output."""
    result = region.run(*arguments, check=False)
    assert result.returncode == code, result
    assert result.stdout == ""
    assert words in result.stderr, result.stderr
    assert sum(line.startswith("error: ") for line in result.stderr.splitlines()) == 1, result.stderr


def test_every_list_has_four_forms_and_no_colour_in_a_pipe(region: Region, h1: Tenant):
    """JSON is the data; names are one a line."""
    for noun in (["tenant"], ["client", "--tenant", "h1"], ["operation"], ["feed"], ["instance", "--tenant", "h1"],
                 ["network", "--tenant", "h1"], ["image"], ["backup"]):
        words = [noun[0], "list", *noun[1:]]
        items = json.loads(region.run(*words, "-o", "json").stdout)
        names = region.run(*words, "-o", "name").stdout.split("\n")[:-1]
        assert len(items) == len(names), words
        for form in ("table", "yaml"):
            shown = region.run(*words, "-o", form).stdout
            assert "\x1b" not in shown and all(name in shown for name in names), (words, form)


def test_a_refused_file_names_the_element(region: Region, h1: Tenant, tmp_path):
    """Of three files the good one is loaded; the others say what and where, without content."""
    (tmp_path / "good.json").write_text('{"resourceType": "Basic", "code": {"text": "x"}}')
    (tmp_path / "date.json").write_text('{"resourceType": "Patient", "birthDate": "31.12.2000"}')
    (tmp_path / "broken.json").write_text('{"resourceType"')
    result = region.run("load", "--tenant", "h1", str(tmp_path), check=False)
    assert result.returncode == 1 and "2 of 3 files were refused" in result.stderr, result
    assert "date.json: Patient.birthDate: " in result.stderr and "31.12" not in result.stderr, result.stderr
    assert "broken.json: not strict JSON" in result.stderr


def test_what_a_start_says_to_try_can_be_typed_where_it_was_started(region: Region):
    """`/` here, below which lies everything: the path as it was called, and not that of the build's own folders."""
    line = next(line for line in region.log.read_text().splitlines() if " tenant create h1 " in line)
    word = line.split()[0]
    assert word == "medcloud" or word == str(binaries() / "medcloud"), line
    shown = subprocess.run(f"{word} --help", shell=True, capture_output=True, text=True, timeout=30, cwd="/", check=False)
    assert shown.returncode == 0 and "OVERVIEW" in shown.stdout, shown


def test_a_detached_start_that_fails_says_so_once(region: Region):
    """The line of the start itself, and its exit code."""
    result = subprocess.run(
        [binaries() / "medcloud", "up", "--detach", "--empty", "--no-compute", "--state", region.state.parent / "other",
         "--port", str(region.port)], capture_output=True, text=True, timeout=60, cwd="/", env=dict(os.environ))
    assert result.returncode == 4, result
    assert [line.startswith("error: Port ") for line in result.stderr.splitlines()] == [True], result


class Hesitant(http.server.ThreadingHTTPServer):
    """Answers each path with 503 first, then with what the commands want to hear; keeps what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """One request."""

        def respond(self) -> None:
            """Whatever the method."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            is_first = self.path not in {path for path, *_ in self.server.asked}
            self.server.asked.append((self.path, self.headers.get("Idempotency-Key"), body))
            self.send_response(503 if is_first else 200)
            if is_first and self.server.says_when:
                self.send_header("Retry-After", "1")
            answer = b'{"access_token": "t", "expires_in": 300, "id": "h1", "detail": "away"}'
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = respond

        def log_message(self, *words) -> None:
            """Says nothing."""

    def __init__(self, says_when: bool) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.says_when, self.asked = says_when, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def run(self, region: Region, folder, *words: str) -> subprocess.CompletedProcess:
        """A command that takes this for its region."""
        profile = json.loads((region.state / "operator.json").read_text())
        own = folder / "operator.json"
        own.touch(0o600)
        own.write_text(json.dumps({**profile, "baseURL": f"http://127.0.0.1:{self.server_port}"}))
        return subprocess.run(
            [binaries() / "medcloud", *words, "--state", folder], capture_output=True, text=True, timeout=60, check=False)


def test_what_is_away_for_a_moment_is_asked_again(region: Region, tmp_path):
    """With the same Idempotency-Key; an assertion is never sent twice. Without Retry-After nothing is asked again."""
    with Hesitant(says_when=True) as server:
        result = server.run(region, tmp_path, "feed", "retry", "h1")
        assert result.returncode == 0, result
        paths = [path for path, *_ in server.asked]
        assert paths == [path for path in ("/region/oauth2/token", "/v1/tenants/h1", "/v1/feeds/h1/retry") for _ in range(2)]
        (_, one, _), (_, other, _) = server.asked[-2:]
        assert one == other and one
        assertions = [urllib.parse.parse_qs(body)["client_assertion"][0] for path, _, body in server.asked if "token" in path]
        assert len(set(assertions)) == 2
    with Hesitant(says_when=False) as server:
        result = server.run(region, tmp_path, "feed", "retry", "h1")
        assert result.returncode != 0 and len(server.asked) == 1, (result, server.asked)
