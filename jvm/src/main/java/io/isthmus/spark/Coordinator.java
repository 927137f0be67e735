package io.isthmus.spark;

import io.delta.storage.commit.CommitCoordinatorClient;
import io.delta.storage.commit.uccommitcoordinator.UCCommitCoordinatorClient;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.delta.coordinatedcommits.CatalogOwnedCommitCoordinatorBuilder;
import org.apache.spark.sql.delta.coordinatedcommits.CatalogOwnedCommitCoordinatorProvider;
import org.apache.spark.sql.delta.coordinatedcommits.UCCommitCoordinatorBuilder$;
import org.apache.spark.sql.delta.coordinatedcommits.UCTokenBasedRestClientFactory$;

/**
 * Who ratifies the commits of catalog-managed tables: Delta asks for a builder by the catalog's name and else goes by
 * the class of Unity Catalog's own connector. One builder per name serves all sessions of the JVM, so it looks for the
 * catalog in the session that asks: each session commits under its own token.
 */
final class Coordinator implements CatalogOwnedCommitCoordinatorBuilder {
    private Coordinator() {
    }

    /** Once per name and JVM; a catalog that another session made under the name is found just the same. */
    static synchronized void register(String catalog) {
        if (CatalogOwnedCommitCoordinatorProvider.getBuilder(catalog).isEmpty()) {
            CatalogOwnedCommitCoordinatorProvider.registerBuilder(catalog, new Coordinator());
        }
    }

    /** @param settings what Delta's client of Unity Catalog goes by: uri, token, deltaRestApi.enabled */
    static CommitCoordinatorClient client(Map<String, String> settings) {
        return new UCCommitCoordinatorClient(Map.of(),
            UCTokenBasedRestClientFactory$.MODULE$.createUCClient(settings));
    }

    @Override
    public String getName() {
        return UCCommitCoordinatorBuilder$.MODULE$.COORDINATOR_NAME();
    }

    @Override
    public CommitCoordinatorClient buildForCatalog(SparkSession session, String catalog) {
        var plugin = ((org.apache.spark.sql.classic.SparkSession) session).sessionState().catalogManager()
            .catalog(catalog);
        return plugin instanceof IsthmusCatalog ours ? ours.coordinator()
            : UCCommitCoordinatorBuilder$.MODULE$.buildForCatalog(session, catalog);
    }

    /** For tables of an older preview of the protocol, which name their coordinator in their own log. */
    @Override
    public CommitCoordinatorClient build(SparkSession session, scala.collection.immutable.Map<String, String> conf) {
        return UCCommitCoordinatorBuilder$.MODULE$.build(session, conf);
    }
}
