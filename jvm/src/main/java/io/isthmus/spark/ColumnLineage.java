package io.isthmus.spark;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.CaseWhen;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression;
import org.apache.spark.sql.catalyst.expressions.WindowExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationDef;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationRef;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.Generate;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.SubqueryAlias;
import org.apache.spark.sql.catalyst.plans.logical.Union;
import org.apache.spark.sql.catalyst.plans.logical.View;
import org.apache.spark.sql.catalyst.plans.logical.Window;
import org.apache.spark.sql.catalyst.plans.logical.WithCTE;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * From which columns of its inputs each column of a query comes, by its analyzed plan.
 *
 * Plans are walked from their leaves: what a column comes from is known by its expression id, which Spark keeps until an
 * expression makes a new column. What decided about every row (a filter, a join's condition, the keys of a group) is kept
 * for the whole. A plan that is not known here hands on the columns of its children and tells nothing of new ones.
 */
final class ColumnLineage {
    /** What was done to a value, as OpenLineage calls it; later ones cover earlier ones. */
    enum Kind {
        IDENTITY(true), TRANSFORMATION(true), AGGREGATION(true), JOIN(false), GROUP_BY(false), FILTER(false),
        SORT(false), WINDOW(false), CONDITIONAL(false);

        final boolean direct;

        Kind(boolean direct) {
            this.direct = direct;
        }
    }

    /** One column of an input, and what was done to it. */
    record Origin(Plans.Source source, String column, Kind kind) {
        Origin as(Kind other) {
            return kind.direct && (!other.direct || other.compareTo(kind) > 0) ? new Origin(source, column, other) : this;
        }
    }

    /** Of the output: column name -> its origins; and what decided about every row. */
    final Map<String, Set<Origin>> columns = new LinkedHashMap<>();
    final Set<Origin> rows = new LinkedHashSet<>();

    private final Map<Long, Set<Origin>> known = new HashMap<>();
    private final Map<Long, List<Attribute>> queries = new HashMap<>();

    boolean isEmpty() {
        return columns.values().stream().allMatch(Set::isEmpty) && rows.isEmpty();
    }

    /** The columns of a query under these names, in its order; names may be null for the query's own. */
    void query(LogicalPlan plan, List<String> names) {
        walk(plan);
        List<Attribute> output = list(plan.output());
        for (int i = 0; i < output.size(); i++) {
            String name = names != null && i < names.size() ? names.get(i) : output.get(i).name();
            columns.computeIfAbsent(name, n -> new LinkedHashSet<>()).addAll(of(output.get(i)));
        }
    }

    /** One more column that an expression over walked plans makes. */
    void column(String name, Expression expression) {
        columns.computeIfAbsent(name, n -> new LinkedHashSet<>()).addAll(trace(expression));
    }

    void decides(Expression expression, Kind kind) {
        trace(expression).forEach(origin -> rows.add(origin.as(kind)));
    }

    void walk(LogicalPlan plan) {
        Plans.Source source = Plans.source(plan);
        if (source != null) {
            for (Attribute attribute : list(plan.output())) {
                known.put(attribute.exprId().id(), Set.of(new Origin(source, attribute.name(), Kind.IDENTITY)));
            }
            return;
        }
        if (plan instanceof WithCTE with) {
            for (CTERelationDef definition : list(with.cteDefs())) {
                walk(definition.child());
                queries.put(definition.id(), list(definition.child().output()));
            }
            walk(with.plan());
            return;
        }
        list(plan.children()).forEach(this::walk);
        if (plan instanceof CTERelationRef reference && queries.containsKey(reference.cteId())) {
            rename(queries.get(reference.cteId()), list(reference.output()));
        } else if (plan instanceof Project project) {
            list(project.projectList()).forEach(this::define);
        } else if (plan instanceof Aggregate aggregate) {
            list(aggregate.aggregateExpressions()).forEach(this::define);
            list(aggregate.groupingExpressions()).forEach(key -> decides(key, Kind.GROUP_BY));
        } else if (plan instanceof Window window) {
            list(window.windowExpressions()).forEach(this::define);
        } else if (plan instanceof Filter filter) {
            decides(filter.condition(), Kind.FILTER);
        } else if (plan instanceof Join join && join.condition().isDefined()) {
            decides(join.condition().get(), Kind.JOIN);
        } else if (plan instanceof Sort sort) {
            list(sort.order()).forEach(order -> decides(order, Kind.SORT));
        } else if (plan instanceof Generate generate) {
            Set<Origin> origins = as(trace((Expression) generate.generator()), Kind.TRANSFORMATION);
            list(generate.generatorOutput()).forEach(attribute -> known.put(attribute.exprId().id(), origins));
        } else if (plan instanceof Union union) {
            merge(union);
        } else if (plan instanceof SubqueryAlias || plan instanceof View) {
            rename(list(list(plan.children()).get(0).output()), list(plan.output()));
        }
    }

    /** Columns that stand for others one by one. */
    private void rename(List<Attribute> from, List<Attribute> to) {
        for (int i = 0; i < Math.min(from.size(), to.size()); i++) {
            known.put(to.get(i).exprId().id(), of(from.get(i)));
        }
    }

    private void merge(Union union) {
        List<Attribute> output = list(union.output());
        for (int i = 0; i < output.size(); i++) {
            Set<Origin> all = new LinkedHashSet<>();
            for (LogicalPlan child : list(union.children())) {
                all.addAll(of(list(child.output()).get(i)));
            }
            known.put(output.get(i).exprId().id(), all);
        }
    }

    private void define(NamedExpression expression) {
        if (expression instanceof Alias alias) {
            known.put(alias.exprId().id(), trace(alias.child()));
        }
    }

    private Set<Origin> of(Attribute attribute) {
        return known.getOrDefault(attribute.exprId().id(), Set.of());
    }

    private Set<Origin> trace(Expression expression) {
        if (expression instanceof Attribute attribute) {
            return of(attribute);
        }
        if (expression instanceof Alias alias) {
            return trace(alias.child());
        }
        Set<Origin> found = new LinkedHashSet<>();
        if (expression instanceof SubqueryExpression query) {
            LogicalPlan plan = query.plan();
            walk(plan);
            list(plan.output()).forEach(attribute -> found.addAll(of(attribute)));
        }
        Set<Expression> conditions = conditions(expression);
        boolean window = expression instanceof WindowExpression;
        Kind kind = expression instanceof AggregateExpression ? Kind.AGGREGATION : Kind.TRANSFORMATION;
        for (Expression child : list(expression.children())) {
            boolean frame = window && child != ((WindowExpression) expression).windowFunction();
            found.addAll(as(trace(child), conditions.contains(child) ? Kind.CONDITIONAL : frame ? Kind.WINDOW : kind));
        }
        return as(found, Kind.TRANSFORMATION);
    }

    /** Those of an expression's children that only choose between the others. */
    private static Set<Expression> conditions(Expression expression) {
        Set<Expression> found = Collections.newSetFromMap(new IdentityHashMap<>());
        if (expression instanceof If choice) {
            found.add(choice.predicate());
        } else if (expression instanceof CaseWhen choice) {
            list(choice.branches()).forEach(branch -> found.add(branch._1()));
        }
        return found;
    }

    private static Set<Origin> as(Collection<Origin> origins, Kind kind) {
        Set<Origin> all = new LinkedHashSet<>();
        origins.forEach(origin -> all.add(origin.as(kind)));
        return all;
    }

    static <T> List<T> list(Seq<T> items) {
        return new ArrayList<>(CollectionConverters.asJava(items));
    }
}
