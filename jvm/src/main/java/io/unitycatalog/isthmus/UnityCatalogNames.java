package io.unitycatalog.isthmus;

import io.isthmus.spark.Names;
import io.isthmus.spark.Server;

/**
 * {@link Names} under a package name by which Delta Lake knows Unity Catalog: Delta's catalog asks for no setting but
 * looks at the class of the catalog beneath it, and only where its name begins with "io.unitycatalog." does it make
 * catalog-managed tables, keep system-made locations managed, and leave it to that catalog to name a table.
 */
public final class UnityCatalogNames extends Names {
    public UnityCatalogNames(Server server) {
        super(server);
    }
}
