"""Spark sessions from anywhere, by Spark Connect, in the shape of databricks-connect.

    from isthmus.connect import DatabricksSession
    spark = DatabricksSession.builder.remote("sc://spark.example.org:15002").getOrCreate()
    spark = DatabricksSession.builder.remote(host="https://...", token=..., cluster_id=...).getOrCreate()

Needs pyspark[connect] and nothing else. Where an address comes from, in this order:
1. what the builder was told: "sc://..." as it is; a workspace's host with a token and a cluster's id (or serverless);
2. $SPARK_REMOTE;
3. $DATABRICKS_HOST, $DATABRICKS_TOKEN and $DATABRICKS_CLUSTER_ID, else the profile of ~/.databrickscfg.
A host that is an `isthmus serve` is asked for the Spark Connect address of the warehouse that cluster_id names. There,
and with a token, the session is that token's user's: every catalog that the server tells of is his, with his grants.
"""

import configparser
import os
import urllib.parse
import uuid

from isthmus import errors
from isthmus.catalog import DEFAULT_CATALOG, Catalog, _quote

_WAREHOUSES = "/api/2.0/sql/warehouses"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class DatabricksSession:
    """Not made itself: `DatabricksSession.builder` is a new Builder at every use."""

    class Builder:
        def __init__(self):
            self._address = None
            self._told = {}
            self._headers = {}
            self._options = {}

        def remote(self, conn_string=None, *, host=None, cluster_id=None, token=None, user_agent=None):
            """A Spark Connect address ("sc://host:port/;token=..."), or a workspace, its token and a cluster."""
            self._address = conn_string or self._address
            return self._tell(host=host, cluster_id=cluster_id, token=token, user_agent=user_agent)

        def host(self, host):
            return self._tell(host=host)

        def token(self, token):
            return self._tell(token=token)

        def clusterId(self, cluster_id):
            return self._tell(cluster_id=cluster_id)

        def serverless(self, enabled=True):
            return self._tell(serverless=enabled)

        def profile(self, name):
            """A section of ~/.databrickscfg ($DATABRICKS_CONFIG_FILE)."""
            return self._tell(**_profile(name))

        def sdkConfig(self, config):
            """A databricks.sdk.core.Config: its host, cluster_id and the token of its authentication."""
            bearer = config.authenticate().get("Authorization", "").removeprefix("Bearer ")
            return self._tell(host=config.host, token=bearer, cluster_id=config.cluster_id)

        def userAgent(self, user_agent):
            return self._tell(user_agent=user_agent)

        def header(self, name, value):
            """One more header with every request."""
            self._headers[name] = value
            return self

        def config(self, key, value):
            """A setting of the new Spark session."""
            self._options[key] = value
            return self

        def validateSession(self, enabled=True):
            """Accepted; a session is always tried when it is made."""
            return self

        def getOrCreate(self):
            """The session of this process at that address, or a new one."""
            return self._session("getOrCreate")

        def create(self):
            """A new session, always."""
            return self._session("create")

        def _tell(self, **what):
            self._told.update({key: value for key, value in what.items() if value is not None})
            return self

        def _session(self, how):
            # Not SparkSession of pyspark.sql: that refuses a Connect session in a process that has a classic one.
            from pyspark.sql.connect.session import SparkSession

            conn_string, told = _completed(self._address, self._told)
            remote = address(conn_string, told, self._headers)
            own = {} if conn_string else _catalogs_of(told)
            builder = SparkSession.builder.remote(remote)
            for key, value in {**own, **self._options}.items():
                builder.config(key, value)
            if not own or how == "create":
                return getattr(builder, how)()
            kept = _sessions.get((remote, told["token"]))  # pyspark's getOrCreate would take another user's
            if kept is None or kept.is_stopped:
                kept = _sessions[remote, told["token"]] = builder.create()
            return kept

        def __repr__(self):
            return f"<DatabricksSession.builder of {self._told.get('host') or 'the environment'}>"

    class _NewBuilder:
        def __get__(self, instance, owner):
            return owner.Builder()

    builder = _NewBuilder()


_sessions = {}


def address(conn_string=None, told=None, headers=None):
    """The Spark Connect address for what a builder was told: {"host", "token", "cluster_id", "serverless", "user_agent"}."""
    headers = dict(headers or {})
    conn_string, told = _completed(conn_string, told or {})
    conn_string = conn_string or _resolve(told, headers)
    more = {**headers, **({"user_agent": told["user_agent"]} if told.get("user_agent") else {})}
    if not more:
        return conn_string
    base, slash, parameters = conn_string.partition("/;")
    items = [parameters] if parameters else []
    return f"{base}/;" + ";".join(items + [f"{key}={_quote(str(value))}" for key, value in more.items()])


def _completed(conn_string, told):
    """What was told, and what the environment says besides: (an address or None, the rest)."""
    told = dict(told)
    if not conn_string and "host" not in told:
        conn_string = os.environ.get("SPARK_REMOTE")
    if not conn_string and "host" not in told:
        told = {**_environment(), **told}
    if not conn_string and "host" not in told:
        raise errors.BadInputError(
            "no Spark to connect to: give .remote('sc://host:port'), or host, token and cluster_id, or set SPARK_REMOTE "
            "or DATABRICKS_HOST")
    return conn_string, told


def _is_isthmus(host):
    parts = urllib.parse.urlsplit(host if "://" in host else f"https://{host}")
    return parts.scheme == "http" or parts.scheme == "https" and parts.hostname in _LOOPBACK


def _resolve(told, headers):
    """The address behind a host; adds the headers that a workspace needs."""
    host, token = told["host"], told.get("token")
    if host.startswith("sc://"):
        return _with_token(host, token)
    if _is_isthmus(host):
        return _of_warehouse(host, told)
    parts = urllib.parse.urlsplit(host if "://" in host else f"https://{host}")
    if not token:
        raise errors.UnauthenticatedError(f"{host}: no token; give token= or set DATABRICKS_TOKEN")
    if told.get("cluster_id"):
        headers["x-databricks-cluster-id"] = told["cluster_id"]
    elif told.get("serverless"):
        headers["x-databricks-session-id"] = str(uuid.uuid4())
    else:
        raise errors.BadInputError(f"{host}: which Spark? Give cluster_id=, or .serverless()")
    return _with_token(f"sc://{parts.hostname}:{parts.port or 443}/;use_ssl=true", token)


def _of_warehouse(host, told):
    """`isthmus serve` knows Spark Connect addresses as warehouses."""
    name = told.get("cluster_id")
    try:
        with Catalog(host, told.get("token")) as server:
            warehouses = {found["id"]: found for found in server.request("GET", _WAREHOUSES)["warehouses"]}
    except errors.UnauthenticatedError:
        raise errors.UnauthenticatedError(
            f"{host}: the server refused the token; give token= or set DATABRICKS_TOKEN") from None
    sparks = [id for id, found in warehouses.items() if found.get("spark_connect_url")]
    if name in sparks:
        return warehouses[name]["spark_connect_url"]
    problem = (f"warehouse {name} is no Spark" if name in warehouses else f"no cluster {name}" if name
               else "which Spark? Give cluster_id=")
    known = (f"its Spark warehouses: {', '.join(sorted(sparks))}" if sparks else
             "it has no Spark warehouse; one is named by isthmus serve --warehouse NAME=sc://host:port")
    raise (errors.BadInputError if name in (None, *warehouses) else errors.NotFoundError)(f"{host}: {problem}; {known}")


def _catalogs_of(told):
    """Settings that make a session at an `isthmus serve` the token's user's, who sees these catalogs."""
    if not told.get("token") or not _is_isthmus(told["host"]):
        return {}
    settings = {}
    with Catalog(told["host"], told["token"]) as server:
        for name in [catalog["name"] for catalog in server.list_catalogs()] or [DEFAULT_CATALOG]:
            settings.update({f"spark.sql.catalog.{name}": "io.isthmus.spark.IsthmusCatalog",
                             f"spark.sql.catalog.{name}.uri": server.uri,
                             f"spark.sql.catalog.{name}.token": told["token"]})
    return settings


def _with_token(url, token):
    if not token:
        return url
    return f"{url}{';' if '/;' in url else '/;'}token={_quote(token)}"


def _environment():
    found = {key: os.environ[f"DATABRICKS_{key.upper()}"] for key in ("host", "token", "cluster_id")
             if os.environ.get(f"DATABRICKS_{key.upper()}")}
    return found if "host" in found else {**_profile(os.environ.get("DATABRICKS_CONFIG_PROFILE"), False), **found}


def _profile(name, required=True):
    path = os.path.expanduser(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    section = dict(parser.defaults()) if name in (None, "DEFAULT") else None
    if section is None and parser.has_section(name):
        section = dict(parser[name])
    if not section and required:
        raise errors.NotFoundError(f"{path} has no profile [{name}]")
    return {key: value for key, value in (section or {}).items() if key in ("host", "token", "cluster_id")}
