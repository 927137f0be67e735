"""The authorisation matrix: kinds of principal x privileges held x operations, each answer of the server against a model.

The model is written from Unity Catalog's documentation of its privileges and shares nothing with the server's table
(src/catalog/local/grants.c). For each kind of securable every subset of the privileges that could matter is held by one
principal, so a rule that is too wide or too narrow shows; and whoever may not see an object gets the answer that a name
without an object gets.
"""

import concurrent.futures
import itertools
import uuid

import pytest
import serving

SCIM = "/api/2.0/preview/scim/v2"
OBO = "/api/2.0/token-management/on-behalf-of/tokens"
OWNER = "OWNER"
THREADS = 8

# ---- the model -------------------------------------------------------------------------------------------------------


class Held:
    """What a principal holds: (level, privilege), levels being catalog, schema and object. A privilege on a catalog or
    schema counts on all that is in it; to own it does not. ("location" is an external location: in no schema.)"""

    def __init__(self, atoms):
        self.atoms = set(atoms)

    def owns(self, level):
        return (level, OWNER) in self.atoms

    def has(self, level, *privileges):
        above = ["catalog", "schema", "object"]
        return any((place, p) in self.atoms for place in above[:above.index(level) + 1] for p in privileges)

    def administers(self, level):
        return self.owns(level) or self.has(level, "MANAGE")

    def through(self):
        """To data leads the use of everything above it; an owner has that of his own."""
        return ((self.owns("catalog") or self.has("catalog", "USE CATALOG"))
                and (self.owns("schema") or self.has("schema", "USE SCHEMA")))

    def administers_object(self, *or_has):
        """Who administers the catalog; or uses it and administers the schema; or uses both and administers the object."""
        return (self.administers("catalog")
                or (self.has("catalog", "USE CATALOG")
                    and (self.administers("schema")
                         or (self.has("schema", "USE SCHEMA")
                             and (self.administers("object") or self.has("object", *or_has))))))

    def administers_schema(self, *or_has):
        return (self.administers("catalog")
                or (self.has("catalog", "USE CATALOG") and (self.administers("schema") or self.has("schema", *or_has))))

    def creates(self, *privileges):
        return ((self.owns("catalog") or self.has("catalog", "USE CATALOG"))
                and (self.owns("schema") or (self.has("schema", "USE SCHEMA") and self.has("schema", *privileges))))

    def data(self, *needed):
        return self.through() and (self.owns("object") or all(self.has("object", p) for p in needed))


def sees_object(*privileges):
    return lambda h: h.administers_object(*privileges)


def sees_schema(h):
    return h.administers_schema("USE SCHEMA")


def sees_catalog(h):
    return h.administers("catalog") or h.has("catalog", "USE CATALOG")


# ---- operations ------------------------------------------------------------------------------------------------------


class Operation:
    """A request that may be repeated, who may make it, and who may know of what it is about.

    path, body  may be functions of the principal's number
    done        HTTP statuses of a request that was let through
    """

    def __init__(self, method, path, body, may, sees, done=(200,)):
        self.method, self._path, self._body, self.may, self.sees, self.done = method, path, body, may, sees, done

    def path(self, number):
        return self._path(number) if callable(self._path) else self._path

    def body(self, number):
        return self._body(number) if callable(self._body) else self._body


PERMISSIONS = {"table": "table", "volume": "volume", "function": "function", "model": "registered_model"}
COLLECTIONS = {"table": "tables", "volume": "volumes", "function": "functions", "model": "models"}
READS = {"table": ("SELECT", "MODIFY"), "volume": ("READ VOLUME", "WRITE VOLUME"), "function": ("EXECUTE",),
         "model": ("EXECUTE",)}


def schema_and_catalog_operations():
    return [
        Operation("GET", "/catalogs/c", None, sees_catalog, sees_catalog),
        Operation("PATCH", "/catalogs/c", {"comment": "x"}, lambda h: h.administers("catalog"), sees_catalog),
        Operation("DELETE", "/catalogs/c", None, lambda h: h.administers("catalog"), sees_catalog, (400,)),
        Operation("PATCH", "/permissions/catalog/c", {"changes": []}, lambda h: h.administers("catalog"), sees_catalog),
        Operation("GET", "/schemas/c.s", None, sees_schema, sees_schema),
        Operation("PATCH", "/schemas/c.s", {"comment": "x"}, lambda h: h.administers_schema(), sees_schema),
        Operation("DELETE", "/schemas/c.s", None, lambda h: h.administers_schema(), sees_schema, (400,)),
        Operation("PATCH", "/permissions/schema/c.s", {"changes": []}, lambda h: h.administers_schema(), sees_schema),
        Operation("POST", "/schemas", lambda i: {"catalog_name": "c", "name": f"made{i}"},
                  lambda h: h.owns("catalog") or (h.has("catalog", "USE CATALOG") and h.has("catalog", "CREATE SCHEMA")),
                  sees_catalog),
        Operation("POST", "/catalogs", lambda i: {"name": f"made{i}"}, lambda h: False, lambda h: True),
    ]


def object_operations(kind, place):
    path, sees = f"/{COLLECTIONS[kind]}/c.s.x", sees_object(*READS[kind])
    also = ["MODIFY"] if kind == "table" else []
    found = [
        Operation("GET", path, None, sees, sees),
        Operation("PATCH", f"/permissions/{PERMISSIONS[kind]}/c.s.x", {"changes": []}, sees_object(), sees),
    ]
    found.append(Operation("DELETE", lambda i: f"/{COLLECTIONS[kind]}/c.s.d{i}", None, sees_object(), sees))
    if kind != "function":
        found.append(Operation("PATCH", path, {"comment": "x"}, sees_object(*also), sees))
    if kind == "table":
        credentials = "/temporary-table-credentials"
        found += [
            Operation("POST", credentials, {"table_id": place["id"], "operation": "READ"},
                      lambda h: h.data("SELECT"), sees),
            Operation("POST", credentials, {"table_id": place["id"], "operation": "READ_WRITE"},
                      lambda h: h.data("SELECT", "MODIFY"), sees),
            Operation("POST", "/delta/preview/commits", commit(place, 999), lambda h: h.data("MODIFY"), sees,
                      (400,)),  # let through; and there is a gap
        ]
    if kind == "volume":
        credentials = "/temporary-volume-credentials"
        found += [
            Operation("POST", credentials, {"volume_id": place["id"], "operation": "READ_VOLUME"},
                      lambda h: h.data("READ VOLUME"), sees),
            Operation("POST", credentials, {"volume_id": place["id"], "operation": "WRITE_VOLUME"},
                      lambda h: h.data("READ VOLUME", "WRITE VOLUME"), sees),
        ]
    return found


def create_operations(folder):
    def named(i, **members):
        return {"catalog_name": "c", "schema_name": "s", "name": f"made{i}", **members}

    return [
        Operation("POST", "/tables", lambda i: named(i, table_type="EXTERNAL", data_source_format="DELTA", columns=[],
                                                     storage_location=f"file://{folder}/data/made{i}"),
                  lambda h: h.creates("CREATE TABLE") and ("location", "CREATE EXTERNAL TABLE") in h.atoms, sees_schema),
        Operation("POST", "/staging-tables", lambda i: named(f"staged{i}"), lambda h: h.creates("CREATE TABLE"),
                  sees_schema),
        Operation("POST", "/volumes", lambda i: named(i, volume_type="MANAGED"), lambda h: h.creates("CREATE VOLUME"),
                  sees_schema),
        Operation("POST", "/models", named, lambda h: h.creates("CREATE MODEL", "CREATE FUNCTION"), sees_schema),
        Operation("POST", "/functions", lambda i: {"function_info": function(f"made{i}")},
                  lambda h: h.creates("CREATE FUNCTION"), sees_schema),
    ]


def commit(place, version):
    return {"table_id": place["id"], "table_uri": place["uri"],
            "commit_info": {"version": version, "timestamp": 1, "file_name": f"{version}.json", "file_size": 1,
                            "file_modification_timestamp": 1}}


def function(name):
    return {"catalog_name": "c", "schema_name": "s", "name": name, "data_type": "INT", "full_data_type": "INT",
            "input_params": {"parameters": []}, "routine_body": "EXTERNAL", "routine_definition": "1", "parameter_style": "S",
            "is_deterministic": True, "sql_data_access": "NO_SQL", "is_null_call": False, "security_type": "DEFINER",
            "specific_name": name, "external_language": "python"}


# What is held, by kind: every subset of these by one principal.
ATOMS = {
    "container": [("catalog", OWNER), ("catalog", "USE CATALOG"), ("catalog", "MANAGE"), ("catalog", "CREATE SCHEMA"),
                  ("schema", OWNER), ("schema", "USE SCHEMA"), ("schema", "MANAGE"), ("catalog", "SELECT")],
    "table": [("catalog", OWNER), ("catalog", "USE CATALOG"), ("schema", OWNER), ("schema", "USE SCHEMA"),
              ("object", OWNER), ("object", "SELECT"), ("object", "MODIFY"), ("object", "MANAGE")],
    "table, inherited": [("catalog", "USE CATALOG"), ("catalog", "USE SCHEMA"), ("catalog", "SELECT"), ("schema", "SELECT"),
                         ("schema", "MODIFY"), ("schema", "MANAGE"), ("object", "MODIFY")],
    "volume": [("catalog", OWNER), ("catalog", "USE CATALOG"), ("schema", OWNER), ("schema", "USE SCHEMA"),
               ("object", OWNER), ("object", "READ VOLUME"), ("object", "WRITE VOLUME"), ("schema", "SELECT")],
    "function": [("catalog", "USE CATALOG"), ("schema", OWNER), ("schema", "USE SCHEMA"), ("object", OWNER),
                 ("object", "EXECUTE")],
    "model": [("catalog", "USE CATALOG"), ("schema", OWNER), ("schema", "USE SCHEMA"), ("object", OWNER),
              ("object", "EXECUTE")],
    "create": [("catalog", OWNER), ("catalog", "USE CATALOG"), ("schema", OWNER), ("schema", "USE SCHEMA"),
               ("schema", "CREATE TABLE"), ("schema", "CREATE VOLUME"), ("catalog", "CREATE MODEL"),
               ("schema", "CREATE FUNCTION"), ("location", "CREATE EXTERNAL TABLE")],
}


# ---- the world -------------------------------------------------------------------------------------------------------


class World:
    """A server with catalog c, schema c.s, one object x, and a principal for every subset of the atoms."""

    def __init__(self, server, folder, name):
        self.server, self.admin = server, server.client()
        self.kind = name.partition(",")[0]
        self.atoms = ATOMS[name]
        self.admin.done("POST", "/catalogs", {"name": "c"})
        self.admin.done("POST", "/schemas", {"catalog_name": "c", "name": "s"})
        self.place = self._make_object("x")
        if self.kind == "create":
            self.admin.done("POST", "/credentials", {"name": "key", "purpose": "STORAGE", "aws_iam_role": {
                "role_arn": "arn:aws:iam::123456789012:role/data"}})
            self.admin.done("POST", "/external-locations", {"name": "place", "url": f"file://{folder}/data",
                                                           "credential_name": "key"})
        self.subsets = [subset for size in range(len(self.atoms) + 1)
                        for subset in itertools.combinations(self.atoms, size)]
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            self.principals = list(pool.map(self._make_principal, range(len(self.subsets))))
        self._hold()
        if self.kind in COLLECTIONS:
            self._make_doomed()

    def _make_object(self, name):
        if self.kind in ("table", "container"):
            staged = self.admin.done("POST", "/staging-tables", {"catalog_name": "c", "schema_name": "s", "name": name})
            self.admin.done("POST", "/tables", {
                "catalog_name": "c", "schema_name": "s", "name": name, "table_type": "MANAGED", "columns": [],
                "data_source_format": "DELTA", "storage_location": staged["staging_location"],
                "properties": {"io.unitycatalog.tableId": staged["id"]}})
            place = {"id": staged["id"], "uri": staged["staging_location"]}
            self.admin.done("POST", "/delta/preview/commits", commit(place, 1))
            return place
        names = {"catalog_name": "c", "schema_name": "s", "name": name}
        if self.kind == "volume":
            return {"id": self.admin.done("POST", "/volumes", {**names, "volume_type": "MANAGED"})["volume_id"]}
        if self.kind == "function":
            self.admin.done("POST", "/functions", {"function_info": function(name)})
        if self.kind == "model":
            self.admin.done("POST", "/models", names)
        return {}

    def _make_principal(self, number):
        """(name, id, token): users, members of groups (also nested) and service principals by turns."""
        admin = self.server.client()
        if number % 4 == 3:
            made = admin.done("POST", f"{SCIM}/ServicePrincipals", {"displayName": f"robot{number}"})
            name = made["applicationId"]
        else:
            name = f"user{number}@example.com"
            made = admin.done("POST", f"{SCIM}/Users", {"userName": name})
        token = admin.done("POST", OBO, {"principal": name, "lifetime_seconds": 3600})["token_value"]
        holder = (name, made["id"])
        for depth in range({0: 0, 1: 1, 2: 2, 3: 0}[number % 4]):
            group = f"group{number}.{depth}"
            members = [{"value": holder[1]}]
            holder = (group, admin.done("POST", f"{SCIM}/Groups", {"displayName": group, "members": members})["id"])
        admin.close()
        return {"holder": holder, "token": token, "name": name}

    def _securable(self, level):
        return {"catalog": ("catalog", "c", "/catalogs/c"), "schema": ("schema", "c.s", "/schemas/c.s"),
                "location": ("external_location", "place", "/external-locations/place"),
                "object": (PERMISSIONS.get(self.kind), "c.s.x", f"/{COLLECTIONS.get(self.kind)}/c.s.x")}[level]

    def _hold(self):
        for atom in self.atoms:
            level, privilege = atom
            kind, full_name, path = self._securable(level)
            holders = [p["holder"] for p, subset in zip(self.principals, self.subsets) if atom in subset]
            if privilege == OWNER:
                group = f"owners-{level}"
                self.admin.done("POST", f"{SCIM}/Groups", {"displayName": group,
                                                          "members": [{"value": id} for _, id in holders]})
                self.admin.done("PATCH", path, {"owner": group})
                continue
            for at in range(0, len(holders), 500):
                self.admin.done("PATCH", f"/permissions/{kind}/{full_name}", {
                    "changes": [{"principal": name, "add": [privilege]} for name, _ in holders[at:at + 500]]})

    def _make_doomed(self):
        """For each principal an object of his own to delete, with the same privileges on it."""
        kind, _, path = self._securable("object")
        for number, (principal, subset) in enumerate(zip(self.principals, self.subsets)):
            name = f"d{number}"
            self._make_object(name)
            if ("object", OWNER) in self.atoms:
                self.admin.done("PATCH", path.replace("c.s.x", f"c.s.{name}"), {"owner": "owners-object"})
            held = [privilege for level, privilege in subset if level == "object" and privilege != OWNER]
            self.admin.done("PATCH", f"/permissions/{kind}/c.s.{name}", {
                "changes": [{"principal": principal["holder"][0], "add": held}]})

    def operations(self, folder):
        if self.kind == "container":
            return schema_and_catalog_operations()
        if self.kind == "create":
            return create_operations(folder)
        return object_operations(self.kind, self.place)


def hidden_twin(operation, number):
    """The same request about a name or an id that nobody has."""
    path, body = operation.path(number), operation.body(number)
    parts = path.rpartition("/")
    if operation.method != "POST":
        path = f"{parts[0]}/{'.'.join([*parts[2].split('.')[:-1], 'absent'])}"
    if isinstance(body, dict):
        body = dict(body)
        for key in ("table_id", "volume_id"):
            if key in body:
                body[key] = str(uuid.uuid4())
    return operation.method, path, body


def check_principal(world, operations, number):
    """The answers that are not the model's."""
    client = world.server.client(world.principals[number]["token"])
    held = Held(world.subsets[number])
    wrong = []
    for operation in operations:
        path, body = operation.path(number), operation.body(number)
        status, answer = client.ask(operation.method, path, body)
        if operation.may(held):
            good = status in operation.done
            expected = f"one of {operation.done}"
        elif operation.sees(held):
            good, expected = status == 403 and answer.get("error_code") == "PERMISSION_DENIED", "403"
        else:
            good, expected = status == 404, "404"
            if operation.method != "POST" or "_id" in str(body):
                other_status, other = client.ask(*hidden_twin(operation, number))
                # An id of nothing is told with the id; a name of nothing as the name of something unseen.
                good = good and (other_status, other.get("error_code")) == (status, answer.get("error_code"))
        if not good:
            wrong.append(f"{operation.method} {path} {body}: {status} {answer.get('error_code')} "
                         f"{answer.get('message', '')!r}, not {expected}; held by {world.principals[number]['name']}: "
                         f"{sorted(held.atoms)}")
    client.close()
    return wrong


@pytest.fixture
def server(tmp_path):
    server = serving.Server(tmp_path / "home")
    yield server
    server.kill()


@pytest.mark.parametrize("name", ATOMS)
def test_matrix(server, tmp_path, name):
    world = World(server, tmp_path, name)
    operations = world.operations(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        wrong = sum(pool.map(lambda i: check_principal(world, operations, i), range(len(world.subsets))), [])
    assert not wrong, f"{len(wrong)} answers differ from the model's; the first: " + "\n".join(wrong[:5])


def test_everybody_and_nobody(server):
    """A grant to all account users reaches everyone with a token; without a token nothing is told."""
    admin = server.client()
    admin.done("POST", f"{SCIM}/Users", {"userName": "eve@example.com"})
    token = admin.done("POST", OBO, {"principal": "eve@example.com", "lifetime_seconds": 3600})["token_value"]
    eve = server.client(token)
    assert eve.ask("GET", "/catalogs/main")[0] == 404
    assert [c["name"] for c in eve.done("GET", "/catalogs")["catalogs"]] == []
    admin.done("PATCH", "/permissions/catalog/main", {"changes": [{"principal": "account users", "add": ["USE CATALOG"]}]})
    assert eve.ask("GET", "/catalogs/main")[0] == 200
    assert [c["name"] for c in eve.done("GET", "/catalogs")["catalogs"]] == ["main"]
    for path in ("/catalogs", "/catalogs/main", "/catalogs/absent", "/api/2.1/isthmus/lineage", f"{SCIM}/Users"):
        assert serving.Client(server.port, None).ask("GET", path)[0] == 401
        assert serving.Client(server.port, "wrong").ask("GET", path)[0] == 401


@pytest.mark.parametrize("path,body", [
    (f"{SCIM}/Users", {"userName": "mallory@example.com"}), (f"{SCIM}/Groups", {"displayName": "mine"}),
    (f"{SCIM}/ServicePrincipals", {"displayName": "robot"}), (OBO, {"principal": "admin", "lifetime_seconds": 60}),
    ("/catalogs", {"name": "mine"}), ("/credentials", {"name": "k", "purpose": "STORAGE",
                                                      "aws_iam_role": {"role_arn": "arn:aws:iam::1:role/x"}}),
])
def test_only_administrators(server, path, body):
    admin = server.client()
    admin.done("POST", f"{SCIM}/Users", {"userName": "eve@example.com"})
    token = admin.done("POST", OBO, {"principal": "eve@example.com", "lifetime_seconds": 3600})["token_value"]
    status, answer = server.client(token).ask("POST", path, body)
    assert status == 403, answer


def test_a_token_ends(server):
    """Revoked, and those of a principal who was removed: refused from then on, on connections that are open, too."""
    admin = server.client()
    made = admin.done("POST", f"{SCIM}/Users", {"userName": "eve@example.com"})
    tokens = [admin.done("POST", OBO, {"principal": "eve@example.com", "lifetime_seconds": 3600}) for _ in range(2)]
    clients = [server.client(token["token_value"]) for token in tokens]
    assert [client.ask("GET", "/catalogs")[0] for client in clients] == [200, 200]
    admin.done("DELETE", f"/api/2.0/token-management/tokens/{tokens[0]['token_info']['token_id']}")
    assert [client.ask("GET", "/catalogs")[0] for client in clients] == [401, 200]
    assert admin.ask("DELETE", f"{SCIM}/Users/{made['id']}")[0] in (200, 204)
    assert clients[1].ask("GET", "/catalogs")[0] == 401
