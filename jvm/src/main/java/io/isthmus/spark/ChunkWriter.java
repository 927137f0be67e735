package io.isthmus.spark;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.IOException;
import java.io.Serializable;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.execution.CommandExecutionMode;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.SQLExecution;
import org.apache.spark.sql.execution.arrow.ArrowWriter;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;
import scala.Option;

/**
 * A Dataset's rows into the node daemon's exchange, straight from Spark's executors: rows to Arrow to shared memory,
 * with no Python worker between. Classic sessions only: it is called through py4j.
 */
public final class ChunkWriter {
    private static final int BATCH_ROWS_MAX = 64 << 10;
    private static final long BATCH_BYTES_MAX = 16 << 20;

    private ChunkWriter() {
    }

    /** One sealed chunk, on its way from the task to the driver. */
    private record Written(String chunk, long rows, long bytes, String host) implements Serializable {
    }

    /**
     * Compute a Dataset into chunks of an exchange.
     *
     * Only chunks of the task attempts whose results Spark took are told, so a task that is retried or run twice
     * doubles nothing; an attempt that fails frees its own, and what a lost one leaves goes with the exchange.
     *
     * @param chunkBytes size at which a chunk is sealed and the next begun
     * @return a JSON array of {"chunk", "rows", "bytes", "host"}, in the order of the partitions
     */
    public static String put(Dataset<?> dataset, String socketPath, String exchange, long chunkBytes) {
        // A plan of its own, as every action but this has: what a run leaves behind may be cleaned up after it.
        QueryExecution before = ((org.apache.spark.sql.classic.Dataset<?>) dataset).queryExecution();
        QueryExecution execution = before.sparkSession().sessionState().executePlan(before.commandExecuted(),
            CommandExecutionMode.ALL());
        Task task = new Task(execution.analyzed().schema(), socketPath, exchange, chunkBytes);
        List<Written> all = SQLExecution.withNewExecutionId(execution, Option.empty(),
            () -> execution.toRdd().toJavaRDD().mapPartitions(task).collect());
        ArrayNode told = Server.JSON.createArrayNode();
        for (Written one : all) {
            told.addObject().put("chunk", one.chunk).put("rows", one.rows).put("bytes", one.bytes)
                .put("host", one.host);
        }
        return told.toString();
    }

    /** One partition. */
    private record Task(StructType schema, String socketPath, String exchange, long chunkBytes)
        implements FlatMapFunction<Iterator<InternalRow>, Written> {

        @Override
        public Iterator<Written> call(Iterator<InternalRow> rows) throws IOException {
            List<Written> written = new ArrayList<>();
            if (!rows.hasNext()) {
                return written.iterator();
            }
            Schema arrow = ArrowUtils.toArrowSchema(schema, "UTC", true, false);
            try (Exchange daemon = new Exchange(socketPath);
                BufferAllocator memory = ArrowUtils.rootAllocator().newChildAllocator("isthmus", 0, Long.MAX_VALUE);
                VectorSchemaRoot batch = VectorSchemaRoot.create(arrow, memory)) {
                try {
                    ArrowWriter writer = ArrowWriter.create(batch);
                    while (rows.hasNext()) {
                        written.add(chunk(daemon, rows, batch, writer));
                    }
                } catch (IOException | RuntimeException e) {
                    for (Written one : written) {
                        daemon.free(one.chunk);
                    }
                    throw e;
                }
            }
            return written.iterator();
        }

        private Written chunk(Exchange daemon, Iterator<InternalRow> rows, VectorSchemaRoot batch, ArrowWriter writer)
            throws IOException {
            long total = 0;
            try (Exchange.Chunk chunk = daemon.grant(exchange);
                ArrowStreamWriter stream = new ArrowStreamWriter(batch, null, chunk)) {
                while (rows.hasNext() && chunk.written() < chunkBytes) {
                    int count = 0;
                    long bytes = 0;
                    for (; count < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX && rows.hasNext(); count++) {
                        InternalRow row = rows.next();
                        bytes += row instanceof UnsafeRow unsafe ? unsafe.getSizeInBytes() : 0;
                        writer.write(row);
                    }
                    writer.finish();
                    stream.writeBatch();
                    writer.reset();
                    total += count;
                }
                stream.end();
                chunk.seal(total);
                return new Written(chunk.id, total, chunk.written(), HOST);
            }
        }
    }

    /** As gethostname() tells Python: chunks can be read on the node that made them. */
    private static final String HOST = host();

    private static String host() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname"), StandardCharsets.UTF_8).trim();
        } catch (IOException e) {
            return InetAddress.getLoopbackAddress().getHostName();
        }
    }
}
