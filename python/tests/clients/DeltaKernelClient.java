import io.delta.kernel.Operation;
import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.Transaction;
import io.delta.kernel.data.ColumnVector;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.defaults.internal.data.DefaultColumnarBatch;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.exceptions.ConcurrentWriteException;
import io.delta.kernel.exceptions.MaxCommitRetryLimitReachedException;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.internal.util.Utils;
import io.delta.kernel.types.DataType;
import io.delta.kernel.types.LongType;
import io.delta.kernel.types.StructType;
import io.delta.kernel.unitycatalog.UCCatalogManagedClient;
import io.delta.kernel.unitycatalog.UCTableIdentifier;
import io.delta.kernel.utils.CloseableIterable;
import io.delta.kernel.utils.CloseableIterator;
import io.delta.storage.commit.TableIdentifier;
import io.delta.storage.commit.uccommitcoordinator.UCClient;
import io.delta.storage.commit.uccommitcoordinator.UCDeltaClient;
import io.delta.storage.commit.uccommitcoordinator.UCDeltaModels;
import io.delta.storage.commit.uccommitcoordinator.UCDeltaTokenBasedRestClient;
import io.delta.storage.commit.uccommitcoordinator.UCTokenBasedRestClient;
import io.unitycatalog.client.auth.TokenProvider;
import java.io.File;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.conf.Configuration;

/**
 * A catalog-managed table by Delta's kernel 4.4.0: made, written, read before and after it is published, by many at a
 * time. DeltaKernelClient URL TOKEN SCHEMA TABLE v1|preview, where the last says which API ratifies the commits.
 */
public class DeltaKernelClient {
    static final StructType SCHEMA = new StructType().add("id", LongType.LONG);
    static final int UNPUBLISHED_MAX = 10;

    static void check(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    /** One column of longs. */
    record Longs(long[] values) implements ColumnVector {
        public DataType getDataType() { return LongType.LONG; }
        public int getSize() { return values.length; }
        public boolean isNullAt(int row) { return false; }
        public long getLong(int row) { return values[row]; }
        public void close() { }
    }

    final Engine engine = DefaultEngine.create(new Configuration());
    final UCCatalogManagedClient client;
    final UCTableIdentifier name;
    final String id;
    final String path;

    DeltaKernelClient(UCClient uc, UCTableIdentifier name, UCDeltaModels.StagingTableInfo place) {
        this.client = new UCCatalogManagedClient(uc);
        this.name = name;
        this.id = place.getTableId().toString();
        this.path = place.getLocation();
    }

    Snapshot latest() {
        return client.loadSnapshot(engine, id, path, name, Optional.empty(), Optional.empty());
    }

    long append(Snapshot snapshot, long value) throws Exception {
        Transaction transaction = snapshot.buildUpdateTableTransaction("kernel test", Operation.WRITE)
            .withMaxRetries(0).build(engine);
        Row state = transaction.getTransactionState(engine);
        CloseableIterator<FilteredColumnarBatch> rows = Utils.singletonCloseableIterator(new FilteredColumnarBatch(
            new DefaultColumnarBatch(1, SCHEMA, new ColumnVector[] {new Longs(new long[] {value})}), Optional.empty()));
        CloseableIterator<FilteredColumnarBatch> physical =
            Transaction.transformLogicalData(engine, state, rows, Collections.emptyMap());
        var context = Transaction.getWriteContext(engine, state, Collections.emptyMap());
        var files = engine.getParquetHandler()
            .writeParquetFiles(context.getTargetDirectory(), physical, context.getStatisticsColumns());
        return transaction.commit(engine, CloseableIterable.inMemoryIterable(
            Transaction.generateAppendActions(engine, state, files, context))).getVersion();
    }

    /** Kernel rebases on published commits alone, so who loses a version begins again. */
    long appendAtLast(long value) throws Exception {
        while (true) {
            Snapshot snapshot = latest();
            snapshot.publish(engine);
            try {
                return append(snapshot, value);
            } catch (MaxCommitRetryLimitReachedException | ConcurrentWriteException e) {
                continue;
            }
        }
    }

    List<Long> read(Snapshot snapshot) throws Exception {
        Scan scan = snapshot.getScanBuilder().build();
        Row state = scan.getScanState(engine);
        List<Long> found = new ArrayList<>();
        try (CloseableIterator<FilteredColumnarBatch> files = scan.getScanFiles(engine)) {
            while (files.hasNext()) {
                try (CloseableIterator<Row> rows = files.next().getRows()) {
                    while (rows.hasNext()) {
                        Row file = rows.next();
                        var parquet = engine.getParquetHandler().readParquetFiles(
                            Utils.singletonCloseableIterator(InternalScanFileUtils.getAddFileStatus(file)),
                            ScanStateRow.getPhysicalDataReadSchema(state), Optional.empty()).map(r -> r.getData());
                        try (var data = Scan.transformPhysicalData(engine, state, file, parquet)) {
                            while (data.hasNext()) data.next().getRows().forEachRemaining(r -> found.add(r.getLong(0)));
                        }
                    }
                }
            }
        }
        Collections.sort(found);
        return found;
    }

    boolean isPublished(long version) {
        return new File(URI.create(path + String.format("/_delta_log/%020d.json", version))).exists();
    }

    /** Ends the JVM, whatever threads the libraries have left. */
    public static void main(String[] args) {
        try {
            use(args);
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    static void use(String[] args) throws Exception {
        Map<String, String> settings = Map.of("uri", args[0], "token", args[1]);
        String[] schema = args[2].split("\\.");
        UCDeltaClient delta = new UCDeltaTokenBasedRestClient(settings, Configuration::new);
        UCClient uc = args[4].equals("v1") ? delta : new UCTokenBasedRestClient(args[0],
            TokenProvider.create(Map.of("type", "static", "token", args[1])), Map.of());
        UCTableIdentifier name = new UCTableIdentifier(schema[0], schema[1], args[3]);
        UCDeltaModels.StagingTableInfo place = delta.createStagingTable(new TableIdentifier(schema, args[3]));
        DeltaKernelClient table = new DeltaKernelClient(uc, name, place);

        Map<String, String> wanted = new HashMap<>();
        place.getRequiredProperties().forEach((key, value) -> {
            if (value != null && !key.equals(UCCatalogManagedClient.UC_TABLE_ID_KEY)) wanted.put(key, value);
        });
        place.getRequiredProtocol().getWriterFeatures().forEach(f -> wanted.put("delta.feature." + f, "supported"));
        table.client.buildCreateTableTransaction(table.id, table.path, SCHEMA, "kernel test", name)
            .withTableProperties(wanted).build(table.engine)
            .commit(table.engine, CloseableIterable.emptyIterable());
        check(table.latest().getVersion() == 0, "made");

        // Every writer reads what is ratified and not published, up to the limit; beyond it one must publish first.
        for (long v = 1; v <= UNPUBLISHED_MAX; v++) {
            check(table.append(table.latest(), v) == v, "version " + v);
            check(!table.isPublished(v), "published too early: " + v);
        }
        Snapshot before = table.latest();
        check(table.read(before).equals(List.of(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L)), "unpublished rows");
        try {
            table.append(before, 11);
            throw new AssertionError("more than " + UNPUBLISHED_MAX + " unpublished commits");
        } catch (Exception e) {
            StringBuilder causes = new StringBuilder();
            for (Throwable t = e; t != null; t = t.getCause()) causes.append(t).append('\n');
            check(causes.toString().contains("429") || causes.toString().contains("CommitLimitReached"),
                causes.toString());
        }
        table.latest().publish(table.engine);
        check(table.isPublished(1) && table.isPublished(UNPUBLISHED_MAX), "published");
        check(table.append(table.latest(), 11) == 11, "after publishing");
        check(table.read(table.latest()).size() == 11, "rows after publishing");
        Snapshot old = table.client.loadSnapshot(table.engine, table.id, table.path, name, Optional.of(3L),
            Optional.empty());
        check(table.read(old).equals(List.of(1L, 2L, 3L)), "time travel");

        // Many at a time: each version has one winner, who loses tries the next.
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Callable<Long>> writers = new ArrayList<>();
        for (long i = 12; i < 20; i++) {
            long value = i;
            writers.add(() -> table.appendAtLast(value));
        }
        List<Long> versions = new ArrayList<>();
        for (Future<Long> writer : pool.invokeAll(writers)) versions.add(writer.get());
        pool.shutdown();
        Collections.sort(versions);
        check(versions.equals(List.of(12L, 13L, 14L, 15L, 16L, 17L, 18L, 19L)), versions.toString());
        table.latest().publish(table.engine);
        check(table.read(table.latest()).size() == 19, "rows of all writers");
    }
}
