package io.isthmus.spark;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.EnumSet;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.AbstractFileSystem;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileChecksum;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FilterFs;
import org.apache.hadoop.fs.FutureDataInputStreamBuilder;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Options.ChecksumOpt;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * The local file system, but for the paths that the file gateway serves: /Volumes and /dbfs, so that what users write
 * without a scheme means the same in Spark as in Ray, and the folder of a table that this process may not touch itself.
 *
 * Made anew for each use (fs.file.impl.disable.cache), for whose grants count is the session's: {@link Gateway} keeps
 * what is worth keeping.
 */
public final class LocalOrGatewayFileSystem extends LocalFileSystem {
    /** What puts it in. */
    static final Map<String, String> SETTINGS = Map.of(
        "fs.file.impl", LocalOrGatewayFileSystem.class.getName(),
        "fs.file.impl.disable.cache", "true",
        "fs.AbstractFileSystem.file.impl", Context.class.getName(),
        "fs.dbfs.impl", GatewayFileSystem.class.getName(),
        "fs.dbfs.impl.disable.cache", "true",
        "fs.AbstractFileSystem.dbfs.impl", GatewayFileSystem.Context.class.getName());

    private final GatewayFileSystem gateway = new GatewayFileSystem();

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        gateway.initialize(URI.create("file:///"), conf);
    }

    private boolean isRemote(Path path) {
        return GatewayFileSystem.serves(path, getConf());
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        return isRemote(path) ? gateway.open(path, bufferSize) : super.open(path, bufferSize);
    }

    @Override
    public FutureDataInputStreamBuilder openFile(Path path) throws IOException {
        return isRemote(path) ? gateway.openFile(path) : super.openFile(path);
    }

    @Override
    protected CompletableFuture<FSDataInputStream> openFileWithOptions(Path path, OpenFileParameters parameters)
        throws IOException {
        return isRemote(path) ? CompletableFuture.completedFuture(gateway.open(path))
            : super.openFileWithOptions(path, parameters);
    }

    @Override
    public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int bufferSize,
        short replication, long blockSize, Progressable progress) throws IOException {
        return isRemote(path)
            ? gateway.create(path, permission, overwrite, bufferSize, replication, blockSize, progress)
            : super.create(path, permission, overwrite, bufferSize, replication, blockSize, progress);
    }

    @Override
    public FSDataOutputStream create(Path path, FsPermission permission, EnumSet<CreateFlag> flags, int bufferSize,
        short replication, long blockSize, Progressable progress, ChecksumOpt checksum) throws IOException {
        return isRemote(path)
            ? gateway.create(path, permission, flags, bufferSize, replication, blockSize, progress, checksum)
            : super.create(path, permission, flags, bufferSize, replication, blockSize, progress, checksum);
    }

    @Override
    public FSDataOutputStream createNonRecursive(Path path, FsPermission permission, boolean overwrite, int bufferSize,
        short replication, long blockSize, Progressable progress) throws IOException {
        return isRemote(path)
            ? gateway.createNonRecursive(path, permission, overwrite, bufferSize, replication, blockSize, progress)
            : super.createNonRecursive(path, permission, overwrite, bufferSize, replication, blockSize, progress);
    }

    @Override
    public FSDataOutputStream createNonRecursive(Path path, FsPermission permission, EnumSet<CreateFlag> flags,
        int bufferSize, short replication, long blockSize, Progressable progress) throws IOException {
        return isRemote(path)
            ? gateway.createNonRecursive(path, permission, flags, bufferSize, replication, blockSize, progress)
            : super.createNonRecursive(path, permission, flags, bufferSize, replication, blockSize, progress);
    }

    @Override
    public FSDataOutputStreamBuilder<?, ?> createFile(Path path) {
        return isRemote(path) ? gateway.createFile(path) : super.createFile(path);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) throws IOException {
        return isRemote(path) ? gateway.append(path, bufferSize, progress) : super.append(path, bufferSize, progress);
    }

    @Override
    public boolean truncate(Path path, long size) throws IOException {
        return isRemote(path) ? gateway.truncate(path, size) : super.truncate(path, size);
    }

    private boolean areRemote(Path from, Path to) throws IOException {
        if (isRemote(from) != isRemote(to)) {
            throw new IOException(from + " and " + to + " are in different file systems: copy it");
        }
        return isRemote(from);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        return areRemote(from, to) ? gateway.rename(from, to) : super.rename(from, to);
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        return isRemote(path) ? gateway.delete(path, recursive) : super.delete(path, recursive);
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        return isRemote(path) ? gateway.listStatus(path) : super.listStatus(path);
    }

    @Override
    public RemoteIterator<FileStatus> listStatusIterator(Path path) throws IOException {
        return isRemote(path) ? gateway.listStatusIterator(path) : super.listStatusIterator(path);
    }

    @Override
    public RemoteIterator<LocatedFileStatus> listLocatedStatus(Path path) throws IOException {
        return isRemote(path) ? gateway.listLocatedStatus(path) : super.listLocatedStatus(path);
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        return isRemote(path) ? gateway.getFileStatus(path) : super.getFileStatus(path);
    }

    @Override
    public FileStatus getFileLinkStatus(Path path) throws IOException {
        return isRemote(path) ? gateway.getFileStatus(path) : super.getFileLinkStatus(path);
    }

    @Override
    public FileChecksum getFileChecksum(Path path) throws IOException {
        return isRemote(path) ? gateway.getFileChecksum(path) : super.getFileChecksum(path);
    }

    @Override
    public Path resolvePath(Path path) throws IOException {
        return isRemote(path) ? gateway.resolvePath(path) : super.resolvePath(path);
    }

    @Override
    public void access(Path path, FsAction mode) throws IOException {
        if (isRemote(path)) {
            gateway.getFileStatus(path);
        } else {
            super.access(path, mode);
        }
    }

    @Override
    public boolean mkdirs(Path path) throws IOException {
        return isRemote(path) ? gateway.mkdirs(path) : super.mkdirs(path);
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        return isRemote(path) ? gateway.mkdirs(path, permission) : super.mkdirs(path, permission);
    }

    // Who may do what there is the catalog's matter, and so are times.

    @Override
    public void setPermission(Path path, FsPermission permission) throws IOException {
        if (!isRemote(path)) {
            super.setPermission(path, permission);
        }
    }

    @Override
    public void setOwner(Path path, String user, String group) throws IOException {
        if (!isRemote(path)) {
            super.setOwner(path, user, group);
        }
    }

    @Override
    public void setTimes(Path path, long modified, long accessed) throws IOException {
        if (!isRemote(path)) {
            super.setTimes(path, modified, accessed);
        }
    }

    /** The same for Hadoop's other interface, FileContext. */
    public static final class Context extends FilterFs {
        private final AbstractFileSystem gateway;
        private final Configuration conf;

        public Context(URI uri, Configuration conf) throws IOException, URISyntaxException {
            super(local(uri, conf));
            this.conf = conf;
            gateway = new GatewayFileSystem.Context(uri, conf);
        }

        private static AbstractFileSystem local(URI uri, Configuration conf) throws IOException {
            Configuration plain = new Configuration(conf);
            plain.set("fs.AbstractFileSystem.file.impl", "org.apache.hadoop.fs.local.LocalFs");
            return createFileSystem(uri, plain);
        }

        private AbstractFileSystem at(Path path) {
            return GatewayFileSystem.serves(path, conf) ? gateway : getMyFs();
        }

        @Override
        public FSDataOutputStream createInternal(Path path, EnumSet<CreateFlag> flags, FsPermission permission,
            int bufferSize, short replication, long blockSize, Progressable progress, ChecksumOpt checksum,
            boolean createParent) throws IOException {
            return at(path).createInternal(path, flags, permission, bufferSize, replication, blockSize, progress,
                checksum, createParent);
        }

        @Override
        public FSDataInputStream open(Path path) throws IOException {
            return at(path).open(path);
        }

        @Override
        public FSDataInputStream open(Path path, int bufferSize) throws IOException {
            return at(path).open(path, bufferSize);
        }

        @Override
        public boolean truncate(Path path, long size) throws IOException {
            return at(path).truncate(path, size);
        }

        private AbstractFileSystem at(Path from, Path to) throws IOException {
            if (at(from) != at(to)) {
                throw new IOException(from + " and " + to + " are in different file systems: copy it");
            }
            return at(from);
        }

        @Override
        public void renameInternal(Path from, Path to) throws IOException {
            at(from, to).renameInternal(from, to);
        }

        @Override
        public void renameInternal(Path from, Path to, boolean overwrite) throws IOException {
            at(from, to).renameInternal(from, to, overwrite);
        }

        @Override
        public boolean delete(Path path, boolean recursive) throws IOException {
            return at(path).delete(path, recursive);
        }

        @Override
        public void mkdir(Path path, FsPermission permission, boolean createParent) throws IOException {
            at(path).mkdir(path, permission, createParent);
        }

        @Override
        public FileStatus getFileStatus(Path path) throws IOException {
            return at(path).getFileStatus(path);
        }

        @Override
        public FileStatus getFileLinkStatus(Path path) throws IOException {
            return at(path).getFileLinkStatus(path);
        }

        @Override
        public FileStatus[] listStatus(Path path) throws IOException {
            return at(path).listStatus(path);
        }

        @Override
        public RemoteIterator<LocatedFileStatus> listLocatedStatus(Path path) throws IOException {
            return at(path).listLocatedStatus(path);
        }

        @Override
        public Path resolvePath(Path path) throws IOException {
            return at(path).resolvePath(path);
        }

        @Override
        public BlockLocation[] getFileBlockLocations(Path path, long start, long size) throws IOException {
            return at(path).getFileBlockLocations(path, start, size);
        }

        @Override
        public FileChecksum getFileChecksum(Path path) throws IOException {
            return at(path).getFileChecksum(path);
        }

        @Override
        public void access(Path path, FsAction mode) throws IOException {
            at(path).access(path, mode);
        }

        @Override
        public void setPermission(Path path, FsPermission permission) throws IOException {
            at(path).setPermission(path, permission);
        }

        @Override
        public void setTimes(Path path, long modified, long accessed) throws IOException {
            at(path).setTimes(path, modified, accessed);
        }
    }
}
