package io.isthmus.spark;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Statistics;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.execution.command.LeafRunnableCommand;
import org.apache.spark.sql.execution.metric.SQLMetric;
import org.apache.spark.sql.types.StructType;
import scala.Enumeration;
import scala.Function1;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Map;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A statement about the catalog's objects as Spark runs it: at once, and with rows of strings. Most of it is what
 * Scala's compiler would write. Public, with this constructor, because Spark copies plans by reflection.
 */
public final class CatalogCommand extends LogicalPlan implements LeafRunnableCommand {
    /** What the statement does. */
    interface Action {
        List<String[]> run(CatalogSession session) throws Server.Refused;
    }

    private final String statement;
    private final Seq<Attribute> output;
    private final Action action;
    private Seq<Enumeration.Value> nodePatterns;

    /** @param statement what EXPLAIN and the user interface call it: "GRANT" */
    public CatalogCommand(String statement, Seq<Attribute> output, Object action) {
        this.statement = statement;
        this.output = output;
        this.action = (Action) action;
        Command.$init$(this);
    }

    static CatalogCommand of(String statement, List<String> columns, Action action) {
        StructType schema = new StructType();
        for (String column : columns) {
            schema = schema.add(column, "string");
        }
        List<Attribute> output = new ArrayList<>(CollectionConverters.asJava(DataTypeUtils.toAttributes(schema)));
        return new CatalogCommand(statement, CollectionConverters.asScala(output).toSeq(), action);
    }

    @Override
    public Seq<Row> run(SparkSession session) {
        try {
            return CollectionConverters.asScala(action.run(new CatalogSession(session)).stream()
                .map(values -> RowFactory.create((Object[]) values)).toList()).toSeq();
        } catch (Server.Refused e) {
            throw Failure.raise(statement + ": " + e.reason, e);
        }
    }

    @Override
    public Seq<Attribute> output() {
        return output;
    }

    @Override
    public Seq<LogicalPlan> children() {
        return CollectionConverters.asScala(List.<LogicalPlan>of()).toSeq();
    }

    @Override
    public LogicalPlan mapChildren(Function1<LogicalPlan, LogicalPlan> change) {
        return this;
    }

    @Override
    public LogicalPlan withNewChildrenInternal(IndexedSeq<LogicalPlan> none) {
        return this;
    }

    @Override
    public Map<String, SQLMetric> metrics() {
        return scala.collection.immutable.Map$.MODULE$.empty();
    }

    @Override
    public AttributeSet producedAttributes() {
        return LeafRunnableCommand.super.producedAttributes();
    }

    @Override
    public Statistics stats() {
        return LeafRunnableCommand.super.stats();
    }

    @Override
    public Seq<Enumeration.Value> nodePatterns() {
        return nodePatterns;
    }

    @Override
    public void org$apache$spark$sql$catalyst$plans$logical$Command$_setter_$nodePatterns_$eq(
        Seq<Enumeration.Value> patterns) {
        nodePatterns = patterns;
    }

    @Override
    public int productArity() {
        return 3;
    }

    @Override
    public Object productElement(int index) {
        return switch (index) {
            case 0 -> statement;
            case 1 -> output;
            default -> action;
        };
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof CatalogCommand;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof CatalogCommand command && statement.equals(command.statement)
            && output.equals(command.output) && action == command.action;
    }

    @Override
    public int hashCode() {
        return super.hashCode();
    }
}
