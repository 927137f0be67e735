package io.isthmus.spark;

import java.net.URI;
import java.net.URISyntaxException;
import org.apache.hadoop.fs.Path;

/**
 * A location is a URI to everybody else ("file:///data/my%20table"), and to Hadoop a Path, whose text is not encoded
 * and has one slash ("file:/data/my table").
 */
final class Locations {
    private Locations() {
    }

    static Path toPath(String uri) {
        try {
            return new Path(new URI(uri));
        } catch (URISyntaxException e) {
            return new Path(uri); // the text of a Path, from a client that keeps those
        }
    }

    static String toUri(Path path) {
        String uri = path.toUri().toString();
        return uri.startsWith("/") ? "file://" + uri : uri.replaceFirst("^file:/(?!/)", "file:///");
    }
}
