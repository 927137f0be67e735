"""Spark sessions from anywhere, by Spark Connect, in the shape of databricks-connect.

    from isthmus.connect import DatabricksSession
    spark = DatabricksSession.builder.remote("sc://spark.example.org:15002").getOrCreate()
    spark = DatabricksSession.builder.remote(host="https://...", token=..., cluster_id=...).getOrCreate()

Needs pyspark[connect] and nothing else. Where an address comes from, in this order:
1. what the builder was told: "sc://..." as it is; a workspace's host with a token and a cluster's id (or serverless);
2. $SPARK_REMOTE;
3. $DATABRICKS_HOST, $DATABRICKS_TOKEN and $DATABRICKS_CLUSTER_ID, else the profile of ~/.databrickscfg.
A host that is an `isthmus serve` is asked for the Spark Connect address of the warehouse that cluster_id names.
"""

import configparser
import os
import urllib.parse
import uuid

from isthmus import errors
from isthmus.catalog import Catalog, _quote

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

            builder = SparkSession.builder.remote(address(self._address, self._told, self._headers))
            for key, value in self._options.items():
                builder.config(key, value)
            return getattr(builder, how)()

        def __repr__(self):
            return f"<DatabricksSession.builder of {self._told.get('host') or 'the environment'}>"

    class _NewBuilder:
        def __get__(self, instance, owner):
            return owner.Builder()

    builder = _NewBuilder()


def address(conn_string=None, told=None, headers=None):
    """The Spark Connect address for what a builder was told: {"host", "token", "cluster_id", "serverless", "user_agent"}."""
    told, headers = dict(told or {}), dict(headers or {})
    if not conn_string and "host" not in told:
        conn_string = os.environ.get("SPARK_REMOTE")
    if not conn_string and "host" not in told:
        told = {**_environment(), **told}
    if not conn_string and "host" not in told:
        raise errors.BadInputError(
            "no Spark to connect to: give .remote('sc://host:port'), or host, token and cluster_id, or set SPARK_REMOTE "
            "or DATABRICKS_HOST")
    conn_string = conn_string or _resolve(told, headers)
    more = {**headers, **({"user_agent": told["user_agent"]} if told.get("user_agent") else {})}
    if not more:
        return conn_string
    base, slash, parameters = conn_string.partition("/;")
    items = [parameters] if parameters else []
    return f"{base}/;" + ";".join(items + [f"{key}={_quote(str(value))}" for key, value in more.items()])


def _resolve(told, headers):
    """The address behind a host; adds the headers that a workspace needs."""
    host, token = told["host"], told.get("token")
    if host.startswith("sc://"):
        return _with_token(host, token)
    parts = urllib.parse.urlsplit(host if "://" in host else f"https://{host}")
    if parts.scheme == "http" or parts.hostname in _LOOPBACK:
        return _with_token(_of_warehouse(host, told), None)
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
    """`isthmus serve` knows Spark Connect addresses as warehouses; grants on names are the Spark's own matter."""
    name = told.get("cluster_id")
    if not name:
        raise errors.BadInputError(f"{host}: which Spark? Give cluster_id=, the name of one of its Spark warehouses "
                                   "(isthmus serve --warehouse NAME=sc://host:port)")
    with Catalog(host, told.get("token")) as server:
        found = server.request("GET", f"/api/2.0/sql/warehouses/{_quote(name)}")
    if not found.get("spark_connect_url"):
        raise errors.BadInputError(f"{host}: warehouse {name} is no Spark ({found.get('engine', 'another engine')}); "
                                   "one is named by isthmus serve --warehouse NAME=sc://host:port")
    return found["spark_connect_url"]


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
