"""What isthmus.explain knows: a table of calls, and for each what happens to the data under `isthmus run`.

Nothing is decided here. isthmus/advice.py reads a script, asks for each call which rule fits it first, and tells its
texts. A new pattern is a new entry.
"""

from dataclasses import dataclass

WAYS = {
    "exchange": "shared memory of the node: Arrow chunks in its daemon, mapped by whoever reads them",
    "workers": "files written by Ray's workers, one commit by the driver",
    "group": "files written by each task, commits merged by the node's daemon",
    "one": "files written by this process, one commit",
    "direct": "files read by Ray's workers, straight from the table's storage",
    "sql": "a SQL statement on a warehouse; its result comes as Arrow chunks by links",
    "staged": "staged files: written to storage, listed, read back",
    "volume": "files of a volume, through the catalog's grants",
    "spark": "Spark's own writer",
    "connect": "Spark Connect: plans go to the server, small results come back",
    "driver": "through the driver's memory",
    "delta-rs": "delta-rs' own writer",
    "ray": "Ray's own writer",
    "catalog": "the catalog's server",
    "script": "this process alone",
    "none": "not there: it raises UnsupportedError",
}


@dataclass(frozen=True)
class Figure:
    """Where bench/results.json has the measurement: seconds of two ways, side by side in one run."""

    section: str
    ours: str
    peer: str
    data: str

    command = property(lambda self: f"python bench/bench.py {self.section}")


_ROWS = "10 million rows (524 MB)"
FIGURES = {
    "from_spark": Figure("from_spark", "ray.data.from_spark", "df.write.parquet + read_parquet", _ROWS),
    "write_table": Figure("to_table", "write_databricks_table", "Dataset.write_delta", _ROWS),
    "write_staged": Figure("to_table", "write_databricks_table", "write_parquet + saveAsTable", _ROWS),
    "appends": Figure("appends", "isthmus.write_deltalake, 100 at a time", "deltalake.write_deltalake, 100 at a time",
                      "100 appends by Ray tasks"),
}

# Where a path begins that volumes answer to.
VOLUMES = r"^(/dbfs/|/Volumes/|dbfs:/)"
LOCATION = r"[/:]"


@dataclass(frozen=True)
class Rule:
    """One kind of call. A rule fits where all of its conditions do.

    calls     patterns (fnmatch) of the call's full name: imports are resolved, calls before it in a chain
              are written "()": "*.read.format().load"
    way       a key of WAYS
    happens   what Isthmus does there
    watch     what to look out for
    better    a way that would be better; "" where there is none
    figure    a key of FIGURES; "" where nothing was measured
    within    "remote": only in a Ray task or actor
    text      regular expression: a text among the arguments matches, as far as it can be told from the script
    comes     patterns of calls that an argument comes from, by whatever variables
    beside    patterns of calls one of which the script has, too
    """

    calls: tuple
    way: str
    happens: str
    watch: tuple = ()
    better: str = ""
    figure: str = ""
    within: str = ""
    text: str = ""
    comes: tuple = ()
    beside: tuple = ()


_TO_PANDAS = ("*.toPandas", "*.toArrow", "*.collect")
_OF_SPARK = ("pyspark.*", "spark.*", "*.createDataFrame", "*.getOrCreate")
_ALL_COME = "all rows pass through one process: the largest table is what fits its memory"
_RAY_WRITES = ("*.write_parquet", "*.write_csv", "*.write_json", "*.write_tfrecords", "*.write_webdataset",
               "*.write_images", "*.write_numpy")
_RAY_READS = tuple(f"ray.data.read_{what}" for what in ("parquet", "csv", "json", "text", "images", "binary_files",
                                                        "numpy", "avro", "tfrecords", "webdataset", "audio", "videos"))
_SPARK_READS = ("*.read.parquet", "*.read.csv", "*.read.json", "*.read.text", "*.read.*.load")
_FILE_CALLS = ("open", "io.open", "*.to_csv", "*.to_parquet", "*.to_json", "*.to_pickle", "*.to_feather", "*.savefig",
               "pandas.read_*", "os.makedirs", "os.mkdir", "os.listdir", "os.scandir", "os.walk", "os.remove",
               "os.rename", "os.stat", "os.path.exists", "os.path.isfile", "os.path.isdir", "glob.*", "shutil.*",
               "pathlib.Path", "torch.save", "torch.load", "joblib.dump", "joblib.load", "numpy.save", "numpy.load")
_DELTA_RS = ("deltalake.write_deltalake", "deltalake.*.write_deltalake")
_MERGED = ("Each task writes its own file; the node's daemon merges the commits that wait at the same time into one "
           "version. Every call succeeds or fails by itself, and a task that Ray runs again doubles nothing.")
_MANY = ("mode=\"append\" is what merges: calls that overwrite conflict with each other",
         "each call leaves a small file; isthmus.gather writes few large ones")
_IN_EXECUTORS = "Ray's nodes start inside Spark's executors, on the same machines."
_SHARED = ("Spark and Ray share cores and memory there; a Spark with no core left waits for ever",)

RULES = (
    # ---- Spark to Ray
    Rule(("ray.data.from_spark", "isthmus.ray.from_spark"), "exchange",
         "Spark computes the DataFrame now, once; its executors put Arrow chunks into the node daemon's memory and "
         "Ray's tasks map them. Nothing is written to storage.",
         ("Spark and Ray share the node: chunks are read where they were made",
          "the rows stay in memory (beyond the daemon's limit on its disk) as long as the Dataset is in use"),
         figure="from_spark"),
    Rule(("ray.data.from_pandas", "ray.data.from_arrow", "ray.data.from_items", "ray.put"), "driver",
         "Spark's executors send every row to the driver, which sends it on into Ray's object store.",
         (_ALL_COME, "spark.driver.maxResultSize refuses what is larger"),
         "ray.data.from_spark(df): from the executors into Ray in memory, without the driver", "from_spark",
         comes=_TO_PANDAS),
    Rule(("*.toPandas", "*.toArrow"), "driver",
         "Spark's executors send every row to this process.", (_ALL_COME,),
         "for Ray, ray.data.from_spark(df); for one process, aggregate or sample first", beside=_OF_SPARK),
    # ---- Ray to Spark
    Rule(("*.to_spark",), "exchange",
         "Ray's workers put the rows into the node daemon's memory, Spark's tasks read them there.",
         ("the rows stay there until isthmus.spark.release(df), or until the Spark session ends",)),
    Rule(("*.createDataFrame",), "driver",
         "Every result comes from Ray's object store into the driver, and goes from there to Spark's executors.",
         (_ALL_COME, "a list of Python objects is pickled row by row; pandas and Arrow go as Arrow"),
         "let each task append to a table (isthmus.write_deltalake(name, rows): all of them land), or write parts and "
         "isthmus.gather(prefix, name); of a Dataset, ds.to_spark(spark)",
         comes=("ray.get", "*.to_pandas", "*.take_all", "*.take", "*.to_arrow_refs", "*.to_pandas_refs")),
    # ---- Ray to tables
    Rule(("*.write_databricks_table",), "workers",
         "Ray's workers write Parquet files with statistics into the table's storage, with credentials that the "
         "catalog gives for this table alone; the driver commits them as one version. Readers see all rows or none.",
         ("columns that the table does not have are an error before anything runs; mergeSchema=True adds them",
          "where the catalog gives no write credentials, rows are staged as Parquet and Spark inserts them; a warning "
          "says so"),
         figure="write_table"),
    Rule(("*.write_delta",), "ray",
         "Ray's own Delta writer: paths only, no names of the catalog and no grants.",
         better="ds.write_databricks_table(name), which also leaves lineage", figure="write_table", beside=("ray.*",)),
    Rule(_SPARK_READS, "staged",
         "Spark lists and reads again the files that the script wrote before.",
         ("a reader sees what is there at that moment, files of a failed job too",),
         "from Ray: ds.write_databricks_table(name), or ds.to_spark(spark) in memory; parts that tasks wrote: "
         "isthmus.gather(prefix, name), one commit", "write_staged",
         beside=("*.write_parquet", "*.write_csv", "*.write_json")),
    Rule(_SPARK_READS, "staged",
         "Spark lists the parts that tasks wrote and reads them: dbfs:/... of Spark is /dbfs/... of the tasks.",
         ("inferSchema reads everything twice, and types are those of the text",),
         "isthmus.gather(prefix, name): the parts as one commit, memory does not grow with them",
         beside=("*.to_csv", "*.to_parquet", "*.to_json")),
    Rule(_SPARK_READS, "volume", "Spark reads the files of the volume, with credentials from the catalog.",
         text=VOLUMES),
    Rule(_RAY_WRITES, "volume",
         "Ray's workers write one file for each block into the volume; the path means the same to Spark and Python.",
         ("nothing is atomic: readers see parts of a job that is running or has failed",
          "files of a task that ran twice may be there twice"),
         "for rows, ds.write_databricks_table(name); for images, models and the like this is the way", text=VOLUMES),
    Rule(_RAY_WRITES, "ray",
         "Ray's workers write files there, unchanged by Isthmus.",
         ("nothing is atomic, and no table or catalog knows of the files",
          "Spark must reach the same path: a local folder is on each machine another one"),
         "for a table, ds.write_databricks_table(name)", "write_staged", beside=("ray.*",)),
    # ---- many tasks, one table
    Rule(_DELTA_RS, "delta-rs",
         "A path or URI stays delta-rs': each call writes a file and commits by itself.",
         ("many at once collide: calls fail after their retries, and each has to be caught and repeated",
          "a task that Ray runs again appends its rows again"),
         "a name (write_deltalake(\"schema.table\", ...)), or isthmus.write_deltalake, which takes paths, too",
         "appends", within="remote", text=LOCATION),
    Rule(_DELTA_RS, "delta-rs",
         "A path or URI stays delta-rs'; it writes and commits in this process.", text=LOCATION),
    Rule(_DELTA_RS, "group", _MERGED, ("a path or URI in place of the name would stay delta-rs', and collide", *_MANY),
         figure="appends", within="remote"),
    Rule(("isthmus.write_deltalake",), "group", _MERGED, _MANY, figure="appends", within="remote"),
    Rule((*_DELTA_RS, "isthmus.write_deltalake"), "one",
         "The rows are written as files and committed as one version; a stream of batches need not fit into memory.",
         ("a name is a table of the catalog: its grants and its credentials",)),
    Rule(("isthmus.gather",), "workers",
         "The parts become the table's files, in one commit; inside a Ray cluster its workers do it.",
         ("parts that lack a column get nulls; a part that does not fit is named, and nothing is written",)),
    # ---- tables to Ray
    Rule(("deltaray.read_delta", "isthmus.read_delta"), "direct",
         "The log is read once; Ray's tasks read the Parquet files side by side, with deletion vectors and column "
         "mapping applied.",
         ("columns= and filter= leave out columns and whole files",
          "a table with a row filter or masks gives its files to nobody: isthmus.read_sql reads it")),
    Rule(("ray.data.read_delta", "ray.data.read_unity_catalog"), "direct",
         "Ray's own reader of Delta tables, unchanged by Isthmus.",
         better="isthmus.read_delta(name_or_path): deletion vectors, files left out by filter, credentials that renew "
                "themselves"),
    Rule(("ray.data.read_databricks_tables",), "sql",
         "Ray's own client: the statement runs on the warehouse under the grants of the token; workers fetch chunks.",
         ("DATABRICKS_HOST and DATABRICKS_TOKEN say where",),
         "isthmus.read_databricks_tables, with the same arguments: compressed chunks, downloads that break go on"),
    Rule(("isthmus.read_databricks_tables", "isthmus.read_sql"), "sql",
         "The statement runs now, under the grants of who asks; Ray's workers fetch the chunks when they are needed.",
         ("the server keeps a result for a limited time: materialize() what is used later",
          "a whole table on the same network: isthmus.read_delta reads its files themselves")),
    Rule(("isthmus.sql",), "sql",
         "The statement runs on the warehouse; the result is an object that Arrow, pandas and Polars read.",
         ("to_pandas() and to_arrow() take all rows into this process",)),
    Rule(_RAY_READS, "volume", "Ray's workers read the files of the volume, with the catalog's grants.", text=VOLUMES),
    # ---- Spark sessions
    Rule(("databricks.connect.DatabricksSession.*getOrCreate", "*.DatabricksSession.*getOrCreate"), "connect",
         "Each actor or task is a client of one Spark; data that Spark writes never passes through Ray.",
         ("every session holds a connection: let actors keep theirs, do not make one for each call",
          "toPandas() in a task brings the rows into that task"), within="remote"),
    Rule(("databricks.connect.DatabricksSession.*getOrCreate", "*.DatabricksSession.*getOrCreate"), "connect",
         "A Spark Connect session: databricks-connect where it is installed, else open Spark Connect.",
         ("the address is that of remote(...), else SPARK_REMOTE, DATABRICKS_HOST, or a profile",)),
    Rule(("*.saveAsTable", "*.insertInto", "*.writeTo().*"), "spark",
         "Spark's executors write the files; the catalog gives credentials, knows the name and records lineage.",
         ("mode(\"overwrite\") by many at once: the last one wins",), within="remote"),
    Rule(("*.saveAsTable", "*.insertInto", "*.writeTo().append", "*.writeTo().create*", "*.writeTo().overwrite*"),
         "spark",
         "Spark's executors write the files; the catalog gives credentials, knows the name and records lineage."),
    Rule(("ray.util.spark.setup_ray_cluster",), "script", _IN_EXECUTORS, _SHARED,
         "isthmus.setup_ray_cluster: sizes that are not given come from what Spark has"),
    Rule(("isthmus.setup_ray_cluster",), "script", _IN_EXECUTORS, _SHARED),
    # ---- files and dbutils
    Rule(("subprocess.*", "os.system"), "script",
         "Another program gets the path as it is.",
         ("it does not see /dbfs or /Volumes where they are not mounted",),
         "copy first: `isthmus fs cp /Volumes/... .`, or dbutils.fs.cp(..., \"file:/...\")", text=VOLUMES),
    Rule(("open", "*.to_csv", "*.to_parquet", "*.to_json", "*.to_pickle"), "volume",
         "Each task writes a file of the volume, whole or not at all; the catalog checks the grants.",
         ("a task that runs again replaces its part only if the name is the same",
          "files are written anew, not appended to"),
         "for rows, isthmus.write_deltalake(name, rows) in each task, or isthmus.gather(prefix, name) at the end",
         within="remote", text=VOLUMES),
    Rule(_FILE_CALLS, "volume",
         "Python's file calls reach the volume where /dbfs and /Volumes are not mounted, under the catalog's grants.",
         ("C code that opens files by itself does not see them", "files are written anew, not appended to"),
         text=VOLUMES),
    Rule(("*dbutils.fs.mount*", "*dbutils.fs.unmount", "*dbutils.fs.refreshMounts"), "none",
         "There are no mounts.", better="a volume over the location: catalog.create_volume(name, location)"),
    Rule(("*dbutils.fs.*",), "volume", "Files of volumes, of dbfs:/ and of this machine (file:/)."),
    Rule(("*dbutils.secrets.*",), "catalog", "The catalog's server keeps secrets encrypted.",
         ("print() shows [REDACTED]; an f-string holds the secret itself",)),
    Rule(("*dbutils.widgets.*",), "script", "Values are the script's arguments: --name value."),
    Rule(("*dbutils.notebook.entry_point.*", "*dbutils.notebook.getContext*"), "catalog",
         "Address and token of the catalog's server.", ("the token is not shown by print()",)),
    Rule(("*dbutils.notebook.run",), "none", "There are no notebooks to run.",
         better="import the other file, or subprocess with `isthmus run`"),
    Rule(("*dbutils.library.*",), "none", "Libraries are those of the Python environment.", better="pip install"),
)
