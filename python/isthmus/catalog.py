"""The catalog: names for tables and everything else that a Unity Catalog server knows (include/isthmus/catalog.h)."""

import json
import os
import pathlib
import re
import threading
import urllib.parse

from isthmus import _html, errors, native
from isthmus._native import ffi, lib
from isthmus.native import _c

DEFAULT_CATALOG = "main"
NO_CREDENTIALS = (400, 403, 501)  # HTTP statuses of a server that has the table, and no write credentials for it


KINDS = {
    "catalog": lib.IST_SECURABLE_CATALOG,
    "schema": lib.IST_SECURABLE_SCHEMA,
    "table": lib.IST_SECURABLE_TABLE,
    "volume": lib.IST_SECURABLE_VOLUME,
    "function": lib.IST_SECURABLE_FUNCTION,
    "model": lib.IST_SECURABLE_REGISTERED_MODEL,
    "model-version": lib.IST_SECURABLE_MODEL_VERSION,
    "credential": lib.IST_SECURABLE_CREDENTIAL,
    "location": lib.IST_SECURABLE_EXTERNAL_LOCATION,
    "metastore": lib.IST_SECURABLE_METASTORE,
}
_MEMBERS = {"model": "registered_models", "model-version": "model_versions", "location": "external_locations"}
_SCIM = "/api/2.0/preview/scim/v2"


class Info(dict):
    """What the catalog tells about an object: Unity Catalog's JSON, with a short repr."""

    def __repr__(self):
        name = self.get("full_name") or ".".join(
            str(self[key]) for key in ("catalog_name", "schema_name", "model_name", "name", "version", "metastore_id")
            if self.get(key))
        what = [str(self[key]) for key in ("table_type", "data_source_format", "volume_type", "status") if self.get(key)]
        place = next((self[key] for key in ("storage_location", "url", "storage_root", "source") if self.get(key)), None)
        return f"<{' '.join([name, *what] + ([f'at {place}'] if place else []))}>"

    def _repr_html_(self):
        pairs = [(title, value(self)) for title, value, _ in _SHOWN[1:]]
        pairs += [("property", f"{key} = {value}") for key, value in sorted((self.get("properties") or {}).items())]
        columns = [(column.get("name"), column.get("type_text"), column.get("comment") or "")
                   for column in self.get("columns") or ()]
        return _html.box(_SHOWN[0][1](self), _html.facts([pair for pair in pairs if pair[1] not in (None, "")]),
                         _html.rows(("column", "type", "comment"), columns) if columns else "")


def _first(*keys):
    return lambda info: next((info[key] for key in keys if info.get(key)), None), False


# What a notebook shows of an object. Members are named one by one: others may not be for everybody's eyes.
_SHOWN = (("name", *_first("full_name", "name", "version")), ("type", *_first("table_type", "volume_type")),
          ("format", *_first("data_source_format")), ("status", *_first("status")), ("comment", *_first("comment")),
          ("owner", *_first("owner")), ("location", *_first("storage_location", "url", "storage_root", "source")),
          ("updated", lambda info: _html.moment(info.get("updated_at") or info.get("created_at")), False))


class Credentials(native.Handle):
    """ist_credentials: short-lived credentials for storage that renew themselves. They are not shown by repr."""

    def __init__(self, pointer, label):
        self._label = label
        self._own(pointer, lib.ist_credentials_free)

    def get(self):
        """Unity Catalog's TemporaryCredentials as a dict, good for a minute at least."""
        return json.loads(native.text(lib.ist_credentials_get, self.pointer))

    def refresh(self):
        """Ask for new ones, because the present ones were refused."""
        native.call(lib.ist_credentials_refresh, self.pointer)

    def __repr__(self):
        return f"<Credentials for {self._label}>"


class Catalog(native.Handle):
    """A connection to a Unity Catalog server: `isthmus serve`, the open one, or Databricks.

        catalog = isthmus.Catalog()                            # the configured one: see below
        catalog = isthmus.Catalog("databricks:prod")           # a profile of ~/.databrickscfg
        catalog.create_volume("main.demo.raw")
        catalog.grant("SELECT", "table", "main.demo.scores", to="alice@example.org")

    Without `uri`: $ISTHMUS_CATALOG, else Databricks' settings ($DATABRICKS_HOST with $DATABRICKS_TOKEN or
    $DATABRICKS_CLIENT_ID and $DATABRICKS_CLIENT_SECRET, or $DATABRICKS_CONFIG_PROFILE), else the `isthmus serve` of this
    machine, else the profile DEFAULT. Objects come back as dicts with Unity Catalog's members; keywords of create_* and
    update_* are such members. `kind` is a word of KINDS. May be shared by threads, not by a forked process.
    """

    def __init__(self, uri=None, token=None, ca_file=None, timeout=None):
        options = ffi.new("ist_catalog_options *", lib.ist_catalog_options_init())
        kept = [_c(uri), _c(token), _c(ca_file)]
        options.uri, options.token, options.ca_file = kept
        options.timeout_ms = round((timeout or 0) * 1000)
        self._own(native._open(lib.ist_catalog_open, "ist_catalog", options), lib.ist_catalog_free)

    @property
    def uri(self):
        return native._string(lib.ist_catalog_uri(self.pointer))

    def __repr__(self):
        return f"<Catalog {self.uri}>" if self._pointer else "<Catalog, closed>"

    def _repr_html_(self):
        """The catalogs that this principal sees; of a server that does not answer, its address."""
        if not self._pointer:
            return _html.box("Catalog, closed")
        try:
            shown = self.list_catalogs()._repr_html_()
        except errors.IsthmusError as error:
            shown = _html.note(error)
        return _html.box(f"Catalog server {self.uri}", shown)

    def _ask(self, function, *args):
        return Info(json.loads(native.text(function, self.pointer, *args)))

    # ---- objects of any kind

    def create(self, kind, **body):
        return self._ask(lib.ist_catalog_create, _kind(kind), _c(json.dumps(body)))

    def get(self, kind, full_name=""):
        return self._ask(lib.ist_catalog_get, _kind(kind), _c(full_name))

    def update(self, kind, full_name, **patch):
        return self._ask(lib.ist_catalog_update, _kind(kind), _c(full_name), _c(json.dumps(patch)))

    def delete(self, kind, full_name, force=False):
        native.call(lib.ist_catalog_delete, self.pointer, _kind(kind), _c(full_name), force)

    def list(self, kind, parent=""):
        found, token = [], None
        while True:
            page = self._ask(lib.ist_catalog_list, _kind(kind), _c(parent), 0, _c(token))
            found += map(Info, page.get(_MEMBERS.get(kind) or f"{kind}s") or [])
            token = page.get("next_page_token")
            if not token:
                return _html.Listing(found, _SHOWN, f"{kind}s of {parent}" if parent else f"{kind}s")

    # ---- catalogs, schemas, tables

    def create_catalog(self, name, **members):
        return self.create("catalog", name=name, **members)

    def create_schema(self, full_name, **members):
        return self.create("schema", **_named(full_name, 2), **members)

    def create_table(self, full_name, **members):
        return self.create("table", **_named(full_name, 3), **members)

    def get_schema(self, full_name):
        return self.get("schema", full_name)

    def get_table(self, full_name):
        return self.get("table", full_name)

    def update_table(self, full_name, **members):
        return self.update("table", full_name, **members)

    def delete_table(self, full_name):
        self.delete("table", full_name)

    def delete_schema(self, full_name, force=False):
        self.delete("schema", full_name, force)

    def delete_catalog(self, name, force=False):
        self.delete("catalog", name, force)

    def list_catalogs(self):
        return self.list("catalog")

    def list_schemas(self, catalog=DEFAULT_CATALOG):
        return self.list("schema", catalog)

    def list_tables(self, schema):
        return self.list("table", schema)

    def stage_table(self, full_name):
        """Reserve {id, staging_location} for a managed table."""
        return self._ask(lib.ist_catalog_create_staging_table, _c(full_name))

    # ---- volumes, functions, models

    def create_volume(self, full_name, location=None, **members):
        """A volume whose files the server keeps; with a location one over files that are there."""
        if location is not None:
            members["storage_location"] = location
        members.setdefault("volume_type", "MANAGED" if location is None else "EXTERNAL")
        return self.create("volume", **_named(full_name, 3), **members)

    def list_volumes(self, schema):
        return self.list("volume", schema)

    def create_function(self, full_name, **members):
        return self.create("function", function_info={**_named(full_name, 3), **members})

    def list_functions(self, schema):
        return self.list("function", schema)

    def create_model(self, full_name, **members):
        return self.create("model", **_named(full_name, 3), **members)

    def list_models(self, schema):
        return self.list("model", schema)

    def create_model_version(self, model, source, **members):
        """The next version of a model, PENDING_REGISTRATION until finalize_model_version."""
        return self.create("model-version", source=source, **_named(model, 3, "model_name"), **members)

    def finalize_model_version(self, model, version):
        return self.request("PATCH", f"{_UC}/models/{_quote(model)}/versions/{version}/finalize",
                            {"full_name": model, "version": version})

    def list_model_versions(self, model):
        return self.list("model-version", model)

    # ---- where data may lie

    def create_credential(self, name, role_arn=None, **members):
        if role_arn is not None:
            members["aws_iam_role"] = {"role_arn": role_arn}
        return self.create("credential", name=name, **{"purpose": "STORAGE", **members})

    def create_location(self, name, url, credential, **members):
        return self.create("location", name=name, url=url, credential_name=credential, **members)

    def credentials(self, table=None, volume=None, url=None, model=None, version=None, write=False):
        """Credentials for the storage of one table, volume, path or model version. The same call gives the same ones."""
        wanted = {key: value for key, value in dict(table=table, volume=volume, url=url, model=model).items() if value}
        if len(wanted) != 1:
            raise errors.BadInputError("credentials are for one of table, volume, url and model")
        request = {**wanted, "operation": "READ_WRITE" if write else "READ"}
        if model:
            request["version"] = version
        pointer = native._open(lib.ist_catalog_open_credentials, "ist_credentials", self.pointer,
                                    _c(json.dumps(request)))
        return Credentials(pointer, f"{' '.join(map(str, wanted.popitem()))}{', writing' if write else ''}")

    # ---- who may do what

    def grants(self, kind, full_name="", principal=None):
        """What was granted on an object itself: {principal: [privilege...]}."""
        return _assignments(self._ask(lib.ist_catalog_get_grants, _kind(kind), _c(full_name), _c(principal)))

    def grant(self, privileges, kind, full_name="", *, to):
        return self._change_grants("add", privileges, kind, full_name, to)

    def revoke(self, privileges, kind, full_name="", *, principal):
        return self._change_grants("remove", privileges, kind, full_name, principal)

    def _change_grants(self, member, privileges, kind, full_name, principal):
        privileges = [privileges] if isinstance(privileges, str) else list(privileges)
        changes = json.dumps([{"principal": principal, member: privileges}])
        return _assignments(self._ask(lib.ist_catalog_update_grants, _kind(kind), _c(full_name), _c(changes)))

    # ---- principals and tokens: Databricks' own calls

    def users(self):
        return self._resources("Users")

    def groups(self):
        return self._resources("Groups")

    def service_principals(self):
        return self._resources("ServicePrincipals")

    def create_user(self, name, display_name=None):
        return self._create_resource("Users", userName=name, displayName=display_name or name,
                                     emails=[{"value": name, "primary": True}])

    def create_group(self, name):
        return self._create_resource("Groups", displayName=name)

    def create_service_principal(self, name):
        return self._create_resource("ServicePrincipals", displayName=name)

    def delete_user(self, name):
        self.request("DELETE", f"{_SCIM}/Users/{self._resource_id(name, 'Users')}")

    def delete_group(self, name):
        self.request("DELETE", f"{_SCIM}/Groups/{self._resource_id(name, 'Groups')}")

    def delete_service_principal(self, name):
        self.request("DELETE", f"{_SCIM}/ServicePrincipals/{self._resource_id(name, 'ServicePrincipals')}")

    def add_member(self, group, member):
        """Put a user, a service principal or a group into a group."""
        value = {"members": [{"value": self._resource_id(member)}]}
        self._change_group(group, {"op": "add", "value": value})

    def remove_member(self, group, member):
        self._change_group(group, {"op": "remove", "path": f'members[value eq "{self._resource_id(member)}"]'})

    def create_token(self, principal=None, days=90, comment=None):
        """A new token, which the server tells this once; for somebody else as an administrator."""
        body = {"lifetime_seconds": days * 86400, "comment": comment, "principal": principal}
        body = {key: value for key, value in body.items() if value is not None}
        return self.request("POST", "/api/2.0/token/create", body)["token_value"]

    def tokens(self):
        return self.request("GET", "/api/2.0/token/list").get("token_infos") or []

    def revoke_token(self, token_id):
        self.request("POST", "/api/2.0/token/delete", {"token_id": token_id})

    def create_secret(self, service_principal):
        """A secret for OAuth client credentials, told this once."""
        principal = self._resource_id(service_principal, "ServicePrincipals")
        return self.request("POST", f"/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets", {})["secret"]

    def _resources(self, kind):
        found = []
        while True:
            page = self.request("GET", f"{_SCIM}/{kind}?startIndex={len(found) + 1}&count=100")
            more = page.get("Resources") or []
            found += more
            if not more or len(found) >= page.get("totalResults", 0):
                return found

    def _create_resource(self, kind, **body):
        return self.request("POST", f"{_SCIM}/{kind}",
                            {"schemas": [f"urn:ietf:params:scim:schemas:core:2.0:{kind.rstrip('s')}"], **body})

    def _resource_id(self, name, *kinds):
        """The id of what goes by a name; of any kind, if none is given."""
        for kind in kinds or ("Users", "ServicePrincipals", "Groups"):
            for attribute in {"Users": ["userName"], "ServicePrincipals": ["displayName", "applicationId"],
                              "Groups": ["displayName"]}[kind]:
                matching = _quote(f'{attribute} eq "{name}"')
                page = self.request("GET", f"{_SCIM}/{kind}?count=100&filter={matching}")
                for found in page.get("Resources") or []:
                    mails = [mail.get("value") for mail in found.get("emails") or []]
                    if name in (found.get(attribute), *mails):
                        return found["id"]
        raise errors.NotFoundError(f"there is no principal {name!r} among {', '.join(kinds) or 'all'}")

    def _change_group(self, group, operation):
        self.request("PATCH", f"{_SCIM}/Groups/{self._resource_id(group, 'Groups')}",
                     {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]})

    # ---- the rest

    def request(self, method, path, body=None):
        """Any REST call: the answer's JSON, None where there is none. `path` from "/api/..." on, encoded."""
        text = native.text(lib.ist_catalog_request, self.pointer, _c(method), _c(path),
                           _c(None if body is None else json.dumps(body)))
        return json.loads(text) if text else None

    def audit(self, limit=100, principal=None, securable=None):
        """Who did what, newest first; for administrators."""
        query = {"limit": limit, "principal": principal, "securable": securable}
        query = "&".join(f"{key}={_quote(str(value))}" for key, value in query.items() if value is not None)
        return self.request("GET", f"/api/2.1/isthmus/audit?{query}")["entries"]

    def post_lineage(self, event):
        native.call(lib.ist_catalog_post_lineage, self.pointer, _c(event))

    def lineage(self, full_name=None, depth=1, columns=False):
        return json.loads(native.text(lib.ist_catalog_get_lineage, self.pointer, _c(full_name), depth, columns))


_UC = "/api/2.1/unity-catalog"


def _quote(text):
    return urllib.parse.quote(text, safe="")


def _kind(word):
    try:
        return KINDS[word]
    except KeyError:
        raise errors.BadInputError(f"kind {word!r} is none of {', '.join(KINDS)}") from None


def _named(full_name, parts, last="name"):
    return dict(zip(["catalog_name", "schema_name"][:parts - 1] + [last], split_name(full_name, parts)))


def _assignments(answer):
    return {item["principal"]: item["privileges"] for item in answer.get("privilege_assignments") or []}


_SETTINGS = ("ISTHMUS_CATALOG", "ISTHMUS_TOKEN", "DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID",
             "DATABRICKS_CONFIG_PROFILE")
_connections = {}
_lock = threading.Lock()


def connect(uri=None):
    """This process's connection to a catalog: the configured one, or the one at `uri`."""
    key = (os.getpid(), uri, native.home(), *map(os.environ.get, _SETTINGS))
    with _lock:
        if key not in _connections:
            _connections[key] = Catalog(uri)
        return _connections[key]


def forget():
    """Drop the connection: the server was stopped or started elsewhere."""
    with _lock:
        _connections.clear()


# ---- names -----------------------------------------------------------------------------------------------------------


_PART = r"`(?:[^`]|``)+`|[^.`]+"
_FORMS = {2: "catalog.schema", 3: "catalog.schema.table or schema.table"}


def split_name(name, parts):
    """The parts of a dotted name; a part may be quoted by backquotes. Two parts of a table's three: catalog main."""
    found = re.findall(_PART, name) if re.fullmatch(rf"(?:{_PART})(?:\.(?:{_PART}))*", name) else []
    if parts == 3 and len(found) == 2:
        found.insert(0, DEFAULT_CATALOG)
    if len(found) != parts:
        raise errors.BadInputError(f"{name!r} is not a name of the form {_FORMS[parts]}")
    return [part[1:-1].replace("``", "`") if part[0] == "`" else part for part in found]


def table_name(name):
    """The full name of a table from its two or three parts."""
    return ".".join(split_name(name, 3))


class Place:
    """Where a table is: `uri`, and `name` and `info` (the catalog's TableInfo) where it is reached by name; both are None
    for a table that the catalog does not have yet."""

    def __init__(self, uri, name=None, info=None, storage_options=None):
        self.uri = uri
        self.name = name
        self.info = info
        self.storage_options = storage_options

    @property
    def label(self):
        return self.name or self.uri

    def open(self, operation):
        """The table's store to "read", "write" or "create" it, by name with credentials for that from the catalog."""
        if self.name is None:
            return native.Store(self.uri, create=operation == "create", options=self.storage_options)
        try:
            store = native.TableStore(connect(), self.name, operation)
        except errors.IsthmusError as error:
            if operation == "read" or self.info is None or error.code not in NO_CREDENTIALS:
                raise
            raise errors.WriteCredentialsError(
                f"table {self.name}: the catalog gives no credentials to write it ({error.args[0]}). Either let this "
                "principal have SELECT and MODIFY on it, or write it in a process with a Spark session, which then inserts "
                "the rows (Dataset.write_databricks_table does so)", error.where, error.code) from error
        self.uri = store.uri
        return store

    def publish(self, store, transaction):
        """After a commit: a new table gets its name, and the catalog is told of new columns."""
        if self.name is not None and (store.is_new or transaction.changes_metadata):
            store.register(native.Snapshot(store))


def locate(table, missing_ok=False, storage_options=None):
    """The Place of a table given by name (two or three dotted parts), URI or path.

    Text with a slash or a scheme is a location, as is a pathlib.Path; everything else is a name ("./t" is the path).
    Raises NotFoundError for a name the catalog does not have; with missing_ok only when its schema is missing too.

    storage_options   for a location in a cloud: see write_deltalake
    """
    if isinstance(table, Place):
        return table
    if isinstance(table, pathlib.PurePath):
        return Place(os.path.abspath(table), storage_options=storage_options)
    if not isinstance(table, str):
        raise errors.BadInputError(f"a table is given by name, path or URI, not by {type(table).__name__}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", table):
        return Place(table, storage_options=storage_options)
    if storage_options:
        raise errors.BadInputError(f"table {table}: storage_options are for s3:, gs: and abfss: locations; a table's name "
                                   "is enough, its catalog gives the credentials")
    if "/" in table:
        return Place(os.path.abspath(os.path.expanduser(table)))
    try:
        name = table_name(table)
    except errors.BadInputError as error:
        raise errors.BadInputError(f"table {error}; a path has a slash in it (./{table})") from None
    try:
        info = connect().get_table(name)
    except errors.NotFoundError:
        if not missing_ok:
            raise
        connect().get_schema(name.rpartition(".")[0])
        return Place(None, name)
    if (info.get("data_source_format") or "DELTA") != "DELTA":
        raise errors.UnsupportedError(f"table {name} is {info['data_source_format']}, not DELTA")
    return Place(info["storage_location"], name, info)
