package io.isthmus.spark;

import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import scala.Function1;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** What sessions have from this jar (spark.sql.extensions): {@link Statements}, and paths of volumes. */
public final class IsthmusExtension extends AbstractFunction1<SparkSessionExtensions, BoxedUnit>
    implements Function1<SparkSessionExtensions, BoxedUnit> {
    private static final String USUAL = "org.apache.hadoop.fs.LocalFileSystem";

    @Override
    public BoxedUnit apply(SparkSessionExtensions extensions) {
        extensions.injectParser(new AbstractFunction2<>() {
            @Override
            public ParserInterface apply(SparkSession session, ParserInterface beneath) {
                return new StatementParser(beneath);
            }
        });
        setVolumePaths(SparkContext.getOrCreate());
        return BoxedUnit.UNIT;
    }

    /**
     * Not by spark.hadoop settings: Spark opens the local file system to fetch this very jar, when the class that would
     * stand in its place is not there yet. So it is put in when the first session is made. A local file system of the
     * user's own is left alone.
     */
    private static void setVolumePaths(SparkContext context) {
        Configuration conf = context.hadoopConfiguration();
        if (conf.get("fs.file.impl", USUAL).equals(USUAL)) {
            conf.setClassLoader(IsthmusExtension.class.getClassLoader());
            LocalOrGatewayFileSystem.SETTINGS.forEach(conf::set);
            for (var setting : context.getConf().getAllWithPrefix("spark.sql.catalog.")) { // for RDDs' own reading
                conf.set("spark.sql.catalog." + setting._1, setting._2);
            }
        }
    }
}
