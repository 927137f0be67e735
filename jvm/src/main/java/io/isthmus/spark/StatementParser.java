package io.isthmus.spark;

import java.util.regex.Pattern;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.parser.NamedParameterContext;
import org.apache.spark.sql.catalyst.parser.ParameterContext;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.parser.PositionalParameterContext;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Seq;

/** Spark's parser, and Delta's, with {@link Statements} before them. Whatever is none of those is theirs, unchanged. */
final class StatementParser implements ParserInterface {
    private static final Pattern MAYBE_OURS = Pattern.compile("\\b(VOLUMES?|CATALOG|GRANTS?|REVOKE|COLUMN)\\b",
        Pattern.CASE_INSENSITIVE);

    private final ParserInterface beneath;

    StatementParser(ParserInterface beneath) {
        this.beneath = beneath;
    }

    private LogicalPlan ours(String sql) throws ParseException {
        return MAYBE_OURS.matcher(sql).find() ? Statements.parse(sql, beneath) : null;
    }

    @Override
    public LogicalPlan parsePlan(String sql) throws ParseException {
        LogicalPlan plan = ours(sql);
        return plan != null ? plan : beneath.parsePlan(sql);
    }

    @Override
    public LogicalPlan parsePlanWithParameters(String sql, ParameterContext parameters) throws ParseException {
        LogicalPlan plan = ours(sql);
        return plan != null ? plan : withParameters(sql, parameters);
    }

    /**
     * Delta's parser (4.4.0) loses the parameters of spark.sql(text, args), so where there are any Spark's, beneath it, goes
     * first. Elsewhere Delta's does: to Spark, DESCRIBE HISTORY t is a column of a table HISTORY.
     */
    private LogicalPlan withParameters(String sql, ParameterContext parameters) throws ParseException {
        if (!isEmpty(parameters) && beneath.getClass().getName().equals("io.delta.sql.parser.DeltaSqlParser")) {
            try {
                return ((io.delta.sql.parser.DeltaSqlParser) beneath).delegate().parsePlanWithParameters(sql,
                    parameters);
            } catch (ParseException e) {
                // One of Delta's own statements, or none at all, which Delta's parser tells.
            }
        }
        return beneath.parsePlanWithParameters(sql, parameters);
    }

    private static boolean isEmpty(ParameterContext parameters) {
        return parameters instanceof NamedParameterContext named ? named.params().isEmpty()
            : parameters instanceof PositionalParameterContext positional && positional.params().isEmpty();
    }

    @Override
    public Expression parseExpression(String sql) throws ParseException {
        return beneath.parseExpression(sql);
    }

    @Override
    public TableIdentifier parseTableIdentifier(String sql) throws ParseException {
        return beneath.parseTableIdentifier(sql);
    }

    @Override
    public FunctionIdentifier parseFunctionIdentifier(String sql) throws ParseException {
        return beneath.parseFunctionIdentifier(sql);
    }

    @Override
    public Seq<String> parseMultipartIdentifier(String sql) throws ParseException {
        return beneath.parseMultipartIdentifier(sql);
    }

    @Override
    public LogicalPlan parseQuery(String sql) throws ParseException {
        return beneath.parseQuery(sql);
    }

    @Override
    public StructType parseRoutineParam(String sql) throws ParseException {
        return beneath.parseRoutineParam(sql);
    }

    @Override
    public StructType parseTableSchema(String sql) throws ParseException {
        return beneath.parseTableSchema(sql);
    }

    @Override
    public DataType parseDataType(String sql) throws ParseException {
        return beneath.parseDataType(sql);
    }
}
