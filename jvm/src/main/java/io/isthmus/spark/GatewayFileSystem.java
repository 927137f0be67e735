package io.isthmus.spark;

import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.DelegateToFileSystem;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.ParentNotDirectoryException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * Hadoop's view of what the file gateway serves: files of volumes (dbfs:/Volumes/catalog/schema/volume/... and, by
 * {@link LocalOrGatewayFileSystem}, the same without dbfs:), and those of the one table that the settings below name.
 *
 * What is created appears whole when it is closed. A rename replaces nothing, which is what Delta's commits and Spark's
 * committers stand on. A volume's server and token are those of its catalog (spark.sql.catalog.<name>.uri, .token,
 * .tokenFile).
 */
public final class GatewayFileSystem extends FileSystem {
    /** Of a table: its folder, what the catalog is asked for it, and by whom. {@link Vending} sets them. */
    static final String ROOT = "fs.isthmus.root";
    static final String KIND = "fs.isthmus.kind";
    static final String ID = "fs.isthmus.id";
    static final String SERVER = "fs.isthmus.uri";
    static final String TOKEN = "fs.isthmus.token";

    private static final int BLOCK = 32 << 20;
    private static final int READ_AHEAD = 1 << 20;

    private URI uri;
    private Path working;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        setConf(conf);
        uri = URI.create(name.getScheme() + ":///");
        working = new Path(uri.getScheme() + ":/");
    }

    @Override
    public String getScheme() {
        return "dbfs";
    }

    @Override
    public URI getUri() {
        return uri;
    }

    @Override
    public Path getWorkingDirectory() {
        return working;
    }

    @Override
    public void setWorkingDirectory(Path folder) {
        working = makeQualified(folder);
    }

    @Override
    protected void checkPath(Path path) {
        // dbfs: and file: both lead here.
    }

    // Places

    private static boolean isBelow(String text, String folder) {
        return text.startsWith(folder) && (text.length() == folder.length() || text.charAt(folder.length()) == '/');
    }

    /** Is a local path the gateway's? */
    static boolean serves(Path path, Configuration conf) {
        String text = path.toUri().getPath();
        String root = conf.get(ROOT);
        return isBelow(text, "/Volumes") || isBelow(text, "/dbfs") || root != null && isBelow(text, root);
    }

    /** @param names of the parts of a volume's name, fewer than three for what is above any volume */
    private record Located(Gateway gateway, List<String> names, Gateway.Place place) {
        boolean isAbove() {
            return place == null;
        }
    }

    /** As src/catalog/volume.c has it. */
    private Located locate(Path path) {
        String text = makeQualified(path).toUri().getPath();
        String root = getConf().get(ROOT);
        if (root != null && isBelow(text, root)) {
            Server server = Server.find("fs.isthmus",
                Map.of("uri", getConf().get(SERVER), "token", getConf().get(TOKEN)));
            return new Located(Gateway.of(server), List.of(), new Gateway.Place(
                new Gateway.Target(Gateway.Kind.valueOf(getConf().get(KIND)), getConf().get(ID), root),
                text.substring(root.length()).replaceFirst("^/", "")));
        }
        if (isBelow(text, "/dbfs")) {
            text = text.substring("/dbfs".length());
        }
        if (!isBelow(text, "/Volumes")) {
            return inVolume(List.of("main", "default", "dbfs"), text.replaceFirst("^/+", ""));
        }
        String[] parts = text.split("/", 6); // "", "Volumes", three names, the rest
        List<String> names = new ArrayList<>(List.of(parts).subList(2, Math.min(parts.length, 5)));
        return names.size() == 3 ? inVolume(names, parts.length > 5 ? parts[5] : "")
            : new Located(gateway(names.isEmpty() ? "main" : names.get(0)), names, null);
    }

    private Located inVolume(List<String> names, String within) {
        return new Located(gateway(names.get(0)), names, new Gateway.Place(new Gateway.Target(Gateway.Kind.VOLUME,
            String.join(".", names), "/Volumes/" + String.join("/", names)), within));
    }

    private Gateway gateway(String catalog) {
        String what = "spark.sql.catalog." + catalog;
        Map<String, String> options = new HashMap<>();
        for (String option : List.of("uri", "token", "tokenFile")) {
            options.put(option, getConf().get(what + "." + option));
        }
        return Gateway.of(Server.find(what, options));
    }

    private Located toChange(Path path) throws IOException {
        Located at = locate(path);
        if (at.isAbove() || at.place.within().isEmpty()) {
            throw new IOException(path + " cannot be written: files are in /Volumes/<catalog>/<schema>/<volume>/");
        }
        return at;
    }

    // Looking

    private FileStatus status(Path path, Gateway.Entry entry) {
        return new FileStatus(entry.size(), entry.folder(), 1, BLOCK, entry.modifiedMs(), makeQualified(path));
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        Located at = locate(path);
        if (at.isAbove()) {
            at.gateway.names(at.names);
            return status(path, Gateway.Entry.folder(""));
        }
        return status(path, at.gateway.stat(at.place));
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        Located at = locate(path);
        List<Gateway.Entry> entries = at.isAbove() ? at.gateway.names(at.names) : content(at);
        if (entries.isEmpty()) { // an empty folder, a file, or nothing
            FileStatus self = getFileStatus(path);
            return self.isFile() ? new FileStatus[] {self} : new FileStatus[0];
        }
        return entries.stream().map(entry -> status(child(path, entry.name()), entry)).toArray(FileStatus[]::new);
    }

    private static List<Gateway.Entry> content(Located at) throws IOException {
        try {
            return at.gateway.list(at.place, 0);
        } catch (FileNotFoundException e) { // a file, perhaps
            return List.of();
        }
    }

    /** A name may have a colon, which Path would take for a scheme. */
    private static Path child(Path folder, String name) {
        return new Path(folder, new Path(null, null, name));
    }

    // Reading and writing

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        Located at = locate(path);
        Gateway.Entry entry = at.isAbove() ? Gateway.Entry.folder("") : at.gateway.stat(at.place);
        if (entry.folder()) {
            throw new FileNotFoundException(path + " is a folder");
        }
        return new FSDataInputStream(new Input(at, entry));
    }

    @Override
    public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int bufferSize,
        short replication, long blockSize, Progressable progress) throws IOException {
        Located at = toChange(path);
        try {
            Gateway.Entry there = at.gateway.stat(at.place);
            if (there.folder() || !overwrite) {
                throw new FileAlreadyExistsException(path + " exists already");
            }
        } catch (FileNotFoundException e) {
            // The usual case.
        }
        return new FSDataOutputStream(new Output(at, overwrite), statistics);
    }

    @Override
    public FSDataOutputStream createNonRecursive(Path path, FsPermission permission,
        EnumSet<CreateFlag> flags, int bufferSize, short replication, long blockSize, Progressable progress) throws IOException {
        if (!getFileStatus(path.getParent()).isDirectory()) {
            throw new ParentNotDirectoryException(path.getParent() + " is no folder");
        }
        return create(path, permission, flags.contains(CreateFlag.OVERWRITE), bufferSize, replication, blockSize,
            progress);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) {
        throw new UnsupportedOperationException(path + ": nothing can be appended to a file here, write it anew");
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        Path target = to;
        try {
            if (getFileStatus(to).isDirectory()) {
                target = child(to, from.getName());
            }
        } catch (FileNotFoundException e) {
            // The usual case.
        }
        try {
            move(from, target);
            return true;
        } catch (FileNotFoundException | FileAlreadyExistsException e) {
            return false;
        }
    }

    /** With OVERWRITE what is at `to` goes first: the two are not one step. */
    @Override
    @SuppressWarnings("deprecation") // FileContext calls it
    protected void rename(Path from, Path to, Options.Rename... options) throws IOException {
        if (List.of(options).contains(Options.Rename.OVERWRITE)) {
            delete(to, false);
        }
        move(from, to);
    }

    private void move(Path from, Path to) throws IOException {
        Located source = toChange(from);
        Located target = toChange(to);
        if (!source.place.target().equals(target.place.target())) {
            throw new IOException(from + " and " + to + " are in different volumes: copy it");
        }
        source.gateway.rename(source.place, target.place);
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        FileStatus self;
        try {
            self = getFileStatus(path);
        } catch (FileNotFoundException e) {
            return false;
        }
        Located at = locate(path);
        if (self.isFile()) {
            at.gateway.delete(at.place, false);
            return true;
        }
        if (at.isAbove()) {
            throw new IOException(path + " is no volume: what is above volumes is dropped in the catalog");
        }
        FileStatus[] content = listStatus(path);
        if (content.length > 0 && !recursive) {
            throw new IOException(path + " is not empty");
        }
        for (FileStatus entry : content) {
            delete(entry.getPath(), true);
        }
        if (!at.place.within().isEmpty()) { // a volume stays
            at.gateway.delete(at.place, true);
        }
        return true;
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        Located at = locate(path);
        if (at.isAbove() || at.place.within().isEmpty()) {
            return getFileStatus(path).isDirectory();
        }
        at.gateway.makeFolder(at.place);
        return true;
    }

    /** By ranges, with some read ahead: Parquet seeks, text goes on. */
    private static final class Input extends FSInputStream {
        private final Located at;
        private final Gateway.Entry entry;
        private long position;
        private byte[] kept = new byte[0];
        private long keptFrom;

        Input(Located at, Gateway.Entry entry) {
            this.at = at;
            this.entry = entry;
        }

        @Override
        public synchronized void seek(long to) throws IOException {
            if (to < 0 || to > entry.size()) {
                throw new EOFException("cannot seek to " + to + " in " + at.place + " of " + entry.size() + " bytes");
            }
            position = to;
        }

        @Override
        public synchronized long getPos() {
            return position;
        }

        @Override
        public boolean seekToNewSource(long to) {
            return false;
        }

        @Override
        public synchronized int available() {
            return (int) Math.min(Integer.MAX_VALUE, entry.size() - position);
        }

        @Override
        public synchronized int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public synchronized int read(byte[] into, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (position >= entry.size()) {
                return -1;
            }
            if (position < keptFrom || position >= keptFrom + kept.length) {
                kept = at.gateway.read(at.place, entry, position,
                    (int) Math.min(entry.size() - position, Math.max(length, READ_AHEAD)));
                keptFrom = position;
            }
            int from = (int) (position - keptFrom);
            int count = Math.min(length, kept.length - from);
            System.arraycopy(kept, from, into, offset, count);
            position += count;
            return count;
        }
    }

    /** Kept in a file of this machine until it is whole. */
    private static final class Output extends FilterOutputStream {
        private final Located at;
        private final java.nio.file.Path content;
        private final boolean replace;
        private boolean closed;

        Output(Located at, boolean replace) throws IOException {
            this(at, replace, Files.createTempFile("isthmus-", ".tmp"));
        }

        private Output(Located at, boolean replace, java.nio.file.Path content) throws IOException {
            super(new BufferedOutputStream(Files.newOutputStream(content), 1 << 16));
            this.at = at;
            this.replace = replace;
            this.content = content;
        }

        @Override
        public void write(byte[] data, int offset, int length) throws IOException {
            out.write(data, offset, length);
        }

        @Override
        public void close() throws IOException {
            if (closed) {
                return;
            }
            closed = true;
            try (OutputStream local = out) {
                local.flush();
                at.gateway.put(at.place, content, replace);
            } finally {
                Files.deleteIfExists(content);
            }
        }
    }

    /** The same for Hadoop's other interface, FileContext: Delta commits by it, and streams keep their checkpoints. */
    public static final class Context extends DelegateToFileSystem {
        public Context(URI uri, Configuration conf) throws IOException, URISyntaxException {
            super(uri, new GatewayFileSystem(), conf, uri.getScheme(), false);
        }
    }
}
