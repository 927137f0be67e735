"""The server is killed at random under load: whatever it acknowledged is there, and no version was ratified twice."""

import random
import threading
import time

import pytest
import serving

CLIENTS = 32
REQUESTS = 10_000  # of all clients together
KILLS = 12


@pytest.fixture
def server(tmp_path):
    server = serving.Server(tmp_path / "home")
    yield server
    server.kill()


class Commits:
    """The shared managed table: who won which version."""

    def __init__(self, admin, tmp_path):
        staged = admin.done("POST", "/staging-tables", {"catalog_name": "main", "schema_name": "shared", "name": "t"})
        self.id, self.location = staged["id"], staged["staging_location"]
        admin.done("POST", "/tables", {
            "catalog_name": "main", "schema_name": "shared", "name": "t", "table_type": "MANAGED",
            "data_source_format": "DELTA", "storage_location": self.location, "columns": [],
            "properties": {"io.unitycatalog.tableId": self.id, "delta.feature.catalogManaged": "supported"}})
        self.winners = {}  # version -> file names acknowledged for it
        self.next = 1
        self.lock = threading.Lock()

    def body(self, version, file_name):
        now = int(time.time() * 1000)
        return {"table_id": self.id, "table_uri": self.location, "latest_backfilled_version": version - 1,
                "commit_info": {"version": version, "timestamp": now, "file_name": file_name, "file_size": 100,
                                "file_modification_timestamp": now}}

    def try_once(self, worker):
        with self.lock:
            version = self.next
        file_name = f"{version:020}.{worker.name}.json"
        status, answer = worker.ask("POST", "/delta/preview/commits", self.body(version, file_name))
        if status == 200:
            with self.lock:
                self.winners.setdefault(version, set()).add(file_name)
                self.next = max(self.next, version + 1)
        else:
            assert status == 409, (status, answer)
            with self.lock:
                self.next = max(self.next, version + 1)


class Worker(threading.Thread):
    """Makes, changes and drops tables in a schema of its own and remembers what was acknowledged; asks again where no
    answer came, which is then settled by looking."""

    def __init__(self, number, server, commits, requests):
        super().__init__()
        self.number, self.commits, self.left = number, commits, requests
        self.random = random.Random(number)
        self.client = server.client()
        self.schema = f"w{number}"
        self.tables = {}  # name -> comment acknowledged
        self.error = None
        self.lost = 0

    def ask(self, method, path, body=None):
        """One request, repeated until it is answered; the second answer of a request may say that the first was done."""
        again = False
        while True:
            self.left -= 1
            try:
                status, answer = self.client.ask(method, path, body)
            except serving.Gone:
                again = True
                self.lost += 1
                time.sleep(0.02)
                continue
            if again and ((method == "POST" and path == "/tables" and answer.get("error_code") == "TABLE_ALREADY_EXISTS")
                          or (method == "DELETE" and status == 404)):
                return 200, answer
            if status == 503:
                again = True
                continue
            return status, answer

    def done(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        assert status == 200, (method, path, status, answer)
        return answer

    def step(self):
        kind = self.random.random()
        if kind < 0.3:
            return self.commits.try_once(self)
        if kind < 0.55 or not self.tables:
            name = f"t{self.random.randrange(10**9)}"
            self.done("POST", "/tables", {
                "catalog_name": "main", "schema_name": self.schema, "name": name, "table_type": "EXTERNAL",
                "data_source_format": "DELTA", "storage_location": f"file:///data/{self.schema}/{name}", "columns": []})
            self.tables[name] = None
            return None
        name = self.random.choice(sorted(self.tables))
        if kind < 0.75:
            comment = str(self.random.random())
            self.done("PATCH", f"/tables/main.{self.schema}.{name}", {"comment": comment})
            self.tables[name] = comment
        elif kind < 0.85:
            self.done("DELETE", f"/tables/main.{self.schema}.{name}")
            del self.tables[name]
        else:
            answer = self.done("GET", f"/tables/main.{self.schema}.{name}")
            assert answer["comment"] == self.tables[name]  # what was acknowledged is seen at once, also after a kill
        return None

    def run(self):
        try:
            while self.left > 0:
                self.step()
        except BaseException as error:  # told by the test
            self.error = error


def test_nothing_acknowledged_is_lost(server, tmp_path):
    admin = server.client()
    admin.done("POST", "/schemas", {"catalog_name": "main", "name": "shared"})
    commits = Commits(admin, tmp_path)
    for i in range(CLIENTS):
        admin.done("POST", "/schemas", {"catalog_name": "main", "name": f"w{i}"})
    workers = [Worker(i, server, commits, REQUESTS // CLIENTS) for i in range(CLIENTS)]
    for worker in workers:
        worker.start()
    chance = random.Random(7)
    kills = 0
    while any(worker.is_alive() for worker in workers):
        time.sleep(chance.uniform(0.05, 0.25))
        if kills < KILLS:
            server.kill()
            server.start()
            kills += 1
    problems = [worker.error for worker in workers if worker.error]
    assert not problems, problems[0]
    assert kills > 3 and sum(worker.lost for worker in workers) > 0  # else nothing was put to the test

    server.kill()
    server.start()
    admin = server.client()
    for worker in workers:
        found, token = {}, ""
        while token is not None:
            page = admin.done("GET", f"/tables?catalog_name=main&schema_name={worker.schema}&page_token={token}")
            found.update({table["name"]: table["comment"] for table in page["tables"]})
            token = page.get("next_page_token")
        assert found == worker.tables
    assert all(len(files) == 1 for files in commits.winners.values()), commits.winners
    last = admin.done("GET", "/delta/preview/commits", {"table_id": commits.id, "table_uri": commits.location,
                                                        "start_version": 0})
    told = {commit["version"]: commit["file_name"] for commit in last["commits"]}
    assert last["latest_table_version"] >= max(commits.winners)
    for version, file_name in told.items():
        assert commits.winners.get(version, {file_name}) == {file_name}
