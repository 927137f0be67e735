package io.isthmus.spark;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketException;
import java.net.UnixDomainSocketAddress;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/**
 * A connection to the node daemon's exchange, as far as a writer of chunks needs it: the frames of src/exchange/wire.h.
 *
 * Java cannot receive a file descriptor by a socket, so a segment is opened by its number in the daemon's /proc folder.
 * It is filled by writing, not by a mapping: Java cannot unmap, and a mapped segment cannot be sealed. A chunk that was
 * not sealed is the daemon's again when the connection closes. For one thread at a time.
 */
final class Exchange implements Closeable {
    private static final byte[] MAGIC = "ISTH".getBytes(StandardCharsets.US_ASCII);
    private static final short WIRE_VERSION = 2;
    private static final short HELLO = 1, GRANT = 5, GROW = 6, SEAL = 7, FREE = 11;
    private static final int ANSWER = 1, FAILED = 2;
    private static final int HEADER_SIZE = 24, ID_SIZE = 36;
    private static final int ANSWER_MAX = 64 << 10;
    private static final long FIRST_GRANT = 1 << 20, GRANT_STEP = 16 << 20;
    /** ist_status of include/isthmus/error.h. */
    private static final int NOT_FOUND = 1, RETRYABLE = 4, BAD_INPUT = 8, IO = 9, NO_MEMORY = 11;
    /** By ist_status, what Python raises for it (python/isthmus/errors.py). */
    private static final String[] ERRORS = {"InternalError", "NotFoundError", "AlreadyExistsError", "ConflictError",
        "RetryableError", "UnauthenticatedError", "ForbiddenError", "UnsupportedError", "BadInputError", "StorageError",
        "CancelledError", "NoMemoryError", "InternalError"};

    /**
     * What went wrong, in the daemon's words. The message begins as that of Python's exception would in a traceback, so
     * that Python finds it in a failed task and raises the same, whether rows were written by Python or by Java.
     */
    static final class Failed extends IOException {
        private static final long serialVersionUID = 1;
        final int status;

        Failed(int status, String message) {
            super("isthmus.errors." + ERRORS[status >= 0 && status < ERRORS.length ? status : 0] + ": " + message);
            this.status = status;
        }
    }

    private final SocketChannel socket;
    private long requests;

    Exchange(String path) throws IOException {
        try {
            socket = SocketChannel.open(UnixDomainSocketAddress.of(path));
        } catch (SocketException e) {
            throw new Failed(NOT_FOUND, "no node daemon answers at " + path + ": start one with `isthmus daemon`");
        }
        boolean done = false;
        try {
            String version = "isthmus-spark";
            ask(HELLO, 4 + version.length() + 1, out -> out.putInt(version.length() + 1)
                .put(version.getBytes(StandardCharsets.US_ASCII)).put((byte) 0));
            done = true;
        } finally {
            if (!done) {
                socket.close();
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    private interface Payload {
        void put(ByteBuffer out);
    }

    /** Send a request and wait for its answer; at most one is under way. */
    private ByteBuffer ask(short op, int size, Payload payload) throws IOException {
        ByteBuffer frame = ByteBuffer.allocate(HEADER_SIZE + size).order(ByteOrder.LITTLE_ENDIAN);
        frame.put(MAGIC).putShort(WIRE_VERSION).putShort(op).putInt(0).putInt(size).putLong(++requests);
        payload.put(frame);
        frame.flip();
        try {
            while (frame.hasRemaining()) {
                socket.write(frame);
            }
            ByteBuffer header = read(HEADER_SIZE);
            byte[] magic = new byte[MAGIC.length];
            header.get(magic);
            header.getShort();
            short answered = header.getShort();
            int flags = header.getInt();
            int length = header.getInt();
            if (!Arrays.equals(magic, MAGIC) || answered != op || (flags & ANSWER) == 0
                || header.getLong() != requests || length < 0 || length > ANSWER_MAX) {
                throw new Failed(BAD_INPUT, "what answers at the node daemon's socket is not one of this version");
            }
            ByteBuffer answer = read(length);
            if ((flags & FAILED) != 0) {
                int status = answer.getInt();
                answer.getInt();
                throw new Failed(status, text(answer));
            }
            return answer;
        } catch (Failed e) {
            throw e;
        } catch (IOException | BufferUnderflowException e) {
            throw new Failed(RETRYABLE, "the node daemon went away in the middle of writing a chunk: " + e);
        }
    }

    private ByteBuffer read(int size) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            if (socket.read(bytes) < 0) {
                throw new EOFException("it closed the connection");
            }
        }
        return bytes.flip();
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[Math.min(Math.max(in.getInt() - 1, 0), in.remaining())];
        in.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static String id(ByteBuffer in) {
        byte[] bytes = new byte[ID_SIZE];
        in.get(bytes);
        return new String(bytes, StandardCharsets.US_ASCII);
    }

    private static byte[] id(String id) throws Failed {
        byte[] bytes = id.getBytes(StandardCharsets.US_ASCII);
        if (bytes.length != ID_SIZE) {
            throw new Failed(BAD_INPUT, "'" + id + "' is no id of an exchange");
        }
        return bytes;
    }

    /** Free a sealed chunk. */
    void free(String chunk) throws IOException {
        byte[] id = id(chunk);
        ask(FREE, ID_SIZE, out -> out.put(id));
    }

    /** Be granted a segment of an exchange. */
    Chunk grant(String exchange) throws IOException {
        byte[] id = id(exchange);
        ByteBuffer answer = ask(GRANT, ID_SIZE + 8, out -> out.put(id).putLong(FIRST_GRANT));
        String chunk = id(answer);
        long granted = answer.getLong();
        Path segment = Path.of("/proc", Integer.toUnsignedString(answer.getInt()), "fd",
            Integer.toString(answer.getInt()));
        try {
            return new Chunk(chunk, FileChannel.open(segment, StandardOpenOption.WRITE), granted);
        } catch (IOException e) {
            throw new Failed(IO, "cannot open a segment of the node daemon (" + segment
                + "); Spark's executors must run as its user and see its processes: " + e);
        }
    }

    /** The bytes of a chunk that is being written. */
    final class Chunk implements WritableByteChannel {
        final String id;
        private final FileChannel file;
        private long granted;
        private long written;

        private Chunk(String id, FileChannel file, long granted) {
            this.id = id;
            this.file = file;
            this.granted = granted;
        }

        long written() {
            return written;
        }

        @Override
        public int write(ByteBuffer bytes) throws IOException {
            int size = bytes.remaining();
            if (written + size > granted) {
                grow(written + size);
            }
            while (bytes.hasRemaining()) {
                written += file.write(bytes, written);
            }
            return size;
        }

        /** Have `need` bytes granted: a step more than needed, or where memory is short just that. */
        private void grow(long need) throws IOException {
            byte[] chunk = Exchange.id(id);
            try {
                granted = ask(GROW, ID_SIZE + 8, out -> out.put(chunk).putLong(need + GRANT_STEP)).getLong();
            } catch (Failed e) {
                if (e.status != NO_MEMORY) {
                    throw e;
                }
                granted = ask(GROW, ID_SIZE + 8, out -> out.put(chunk).putLong(need)).getLong();
            }
        }

        /** Hand the bytes over to those who read the exchange. */
        void seal(long rows) throws IOException {
            file.close();
            byte[] chunk = Exchange.id(id);
            ask(SEAL, ID_SIZE + 16, out -> out.put(chunk).putLong(written).putLong(rows));
        }

        @Override
        public boolean isOpen() {
            return file.isOpen();
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
