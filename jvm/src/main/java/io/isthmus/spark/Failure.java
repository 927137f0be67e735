package io.isthmus.spark;

import org.apache.spark.QueryContext;
import org.apache.spark.sql.AnalysisException;
import scala.Option;
import scala.collection.immutable.Map$;

/**
 * One clear line for the user. Spark and PySpark, classic and Connect, show an AnalysisException by its message alone,
 * without a Java trace; being one is worth that Spark's interfaces do not declare it: throw it by {@link #raise}.
 */
final class Failure extends AnalysisException {
    private Failure(String message, Throwable cause) {
        super(message, Option.empty(), Option.empty(), Option.apply(cause), Option.empty(),
            Map$.MODULE$.<String, String>empty(), new QueryContext[0]);
    }

    static RuntimeException raise(String message) {
        return raise(message, null);
    }

    /** Never returns; the result type lets callers write {@code throw Failure.raise(...)}. */
    static RuntimeException raise(String message, Throwable cause) {
        return rethrow(new Failure(message, cause));
    }

    /** Throw a checked exception where Spark's interface declares none, as Spark's own Scala code does. */
    @SuppressWarnings("unchecked")
    static <E extends Throwable> RuntimeException rethrow(Throwable e) throws E {
        throw (E) e;
    }
}
